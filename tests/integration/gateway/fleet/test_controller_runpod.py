"""RunPod's worker slots through the controller: one opens with the demand, joins the pool, and ends idle."""

import secrets
import time

import pytest

from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.fleet.instances.instance import Instance, InstanceState, new_label
from gateway.fleet.providers.runpod.client import RunpodClient
from gateway.fleet.providers.runpod.encoder import RunpodEncoder
from gateway.fleet.providers.runpod.provider import RunpodProvider
from gateway.fleet.providers.runpod.run import RunTimeouts
from gateway.workers.tickets import TaskLinks, Tickets
from servicekit.backoff import Backoff
from tests.emulators import runpodemulator
from tests.support.fleet_world import World
from tests.support.until import until


@pytest.fixture
async def runpod():
    async with runpodemulator.running() as emulated:
        yield emulated


@pytest.fixture
async def world(jetstream, runpod, tmp_path):
    client = RunpodClient(runpod.api_url, runpod.endpoint_id, runpod.key, backoff=Backoff(0.01, 0.1))
    assets = AssetStore(str(tmp_path / "assets"), retention_seconds=60, max_bytes=10**6)
    links = TaskLinks(LinkSigner(secrets.token_bytes(32), 60), assets, "http://127.0.0.1", 60)
    endpoint = RunpodEncoder(client, Tickets(await jetstream.key_value("tickets")), assets, links, RunTimeouts(30.0))
    async with World(await jetstream.key_value("fleet"), RunpodProvider(endpoint, 0.01, 3, 2)) as made:
        yield made


async def test_a_worker_slot_opens_with_demand_and_ends_idle_at_its_price(world, runpod):
    slot = await world.ready()
    member = await until(lambda: world.pool.member(slot.id))
    assert (member.slots, member.rank, member.is_rented) == (2, 1, True)
    await world.registry.begin_run(slot.id, "job.0", time.time())
    world.waiting = 0
    await world.registry.end_run(slot.id, "job.0", time.time())
    await world.until_empty()
    (ended,) = world.registry.all()
    assert ended.usd(time.time()) == pytest.approx(0.01 * (ended.ended_at - ended.created_at))
    assert ended.ended_at - ended.created_at > 0.1
    assert world.pool.members == []
    assert runpod.requests["run"] == 0  # RunPod starts workers by itself


async def test_an_endpoint_that_is_down_is_a_fault_and_opens_no_worker_slot(world, runpod):
    runpod.faults.is_down = True
    world.waiting = 1
    await until(lambda: world.monitor.fault)
    assert not world.monitor.offers
    assert not world.registry.all()
    runpod.faults.is_down = False
    await world.until(InstanceState.READY)
    assert world.monitor.fault == ""


async def test_a_worker_slot_that_an_older_gateway_only_planned_was_never_made(world):
    """It wrote a worker slot down as planned first; nothing was made of it and nothing is paid."""
    planned = Instance(new_label("api-gpu"), "runpod", 36.0, time.time())
    await world.registry.create(planned.id, planned)
    await until(lambda: world.registry.cached[planned.id].state is InstanceState.TERMINATED)
    assert world.registry.cached[planned.id].usd(time.time()) == 0

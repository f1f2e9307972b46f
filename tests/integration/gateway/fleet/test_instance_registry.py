"""The register and the lease, on a real nats-server."""

import asyncio
import time
from dataclasses import replace

import pytest

from gateway.cluster.leader import LeaderLease
from gateway.fleet.instances.instance import Instance, InstanceState
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.metering import UsageMeter
from gateway.workers.base import EncoderBusy
from tests.support.until import until

FIRST = Instance(
    id="fleet-1", provider="vast", usd_per_hour=3.6, created_at=1000.0, state=InstanceState.READY, ready_at=1000.0
)


@pytest.fixture
async def register(records):
    made = InstanceRegistry(records)
    await made.start()
    yield made
    await made.stop()


async def test_every_gateway_sees_every_instance(records, register):
    await register.add(FIRST)
    await records.create("lease", b'{"holder": "somebody"}')
    other = InstanceRegistry(records)
    await other.start()
    seen = []
    other.on_change(seen.append)
    assert seen == other.all() == [FIRST]
    await register.change(FIRST.id, lambda m: replace(m, reason="why"))
    await until(lambda: other.find(FIRST.id).reason == "why")
    await other.stop()


async def test_changes_at_once_are_all_kept(register):
    await register.add(FIRST)
    starts = (register.change(FIRST.id, lambda m, n=n: m.run_started(f"job.{n}", n)) for n in range(10))
    await asyncio.gather(*starts)
    assert len((await register.read(FIRST.id)).running) == 10


async def test_a_task_is_begun_only_on_an_instance_that_takes_tasks(register):
    meter = UsageMeter(register)
    await register.add(FIRST)
    await meter.begin(FIRST.id, "job.0", time.time())
    terminated = await register.change(FIRST.id, lambda m: m.drain("idle"))
    assert terminated.state is InstanceState.READY
    with pytest.raises(EncoderBusy):
        await meter.begin(FIRST.id, "job.1", time.time())
    await meter.end(FIRST.id, "job.0", time.time())
    assert (await register.change(FIRST.id, lambda m: m.terminate("idle"))).state is InstanceState.TERMINATING
    with pytest.raises(EncoderBusy):
        await meter.begin("fleet-unknown", "job.1", time.time())


async def test_what_ended_long_ago_is_forgotten(register):
    await register.add(FIRST.terminated(2000.0))
    await register.add(replace(FIRST, id="fleet-2"))
    await register.add(replace(FIRST, id="fleet-3", provider_id="7").terminated(2000.0))
    await register.prune(1999.0, 2001.0)
    assert {m.id for m in register.all()} == {"fleet-2", "fleet-3"}  # of the first nothing came but a plan
    await register.prune(2001.0, 2001.0)
    assert [m.id for m in register.all()] == ["fleet-2"]
    assert await register.read(FIRST.id) is None


async def test_one_of_many_holds_the_lease_and_another_follows(records):
    first, second = LeaderLease(records, "a", 0.6), LeaderLease(records, "b", 0.6)
    assert await first.renew()
    assert not await second.renew()
    assert await first.renew()
    assert (first.is_held, second.is_held) == (True, False)
    await first.give_up()
    assert not first.is_held
    assert await second.renew()


async def test_a_lease_whose_holder_died_runs_out_and_is_not_taken_before(records):
    dead, heir = LeaderLease(records, "a", 0.6), LeaderLease(records, "b", 0.6)
    assert await dead.renew()
    started = time.monotonic()
    taken = False
    while not taken and time.monotonic() - started < 60:
        taken = await heir.renew()
        assert not (taken and dead.is_held)
        await asyncio.sleep(0.05)
    assert taken
    assert not await dead.renew()

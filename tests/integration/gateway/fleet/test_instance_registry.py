"""The register and the lease, on a real nats-server."""

import asyncio
import time
from dataclasses import replace

import pytest

from gateway.cluster.leader import LeaderLease
from gateway.fleet.instances.instance import Instance, InstanceState
from gateway.fleet.instances.registry import InstanceRegistry
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
    await register.create(FIRST.id, FIRST)
    await records.create("lease", b'{"holder": "somebody"}')
    other = InstanceRegistry(records)
    seen = []
    other.listeners.append(lambda _, instance: seen.append(instance))
    await other.start()
    assert seen == other.all() == [FIRST]
    await register.update(FIRST.id, lambda m: replace(m, reason="why"))
    await until(lambda: other.cached[FIRST.id].reason == "why")
    await other.stop()


async def test_changes_at_once_are_all_kept(register):
    await register.create(FIRST.id, FIRST)
    starts = (register.update(FIRST.id, lambda m, n=n: m.run_started(f"job.{n}", n)) for n in range(10))
    await asyncio.gather(*starts)
    assert len((await register.get(FIRST.id)).running) == 10


async def test_a_task_is_begun_only_on_an_instance_that_takes_tasks(register):
    await register.create(FIRST.id, FIRST)
    await register.begin_run(FIRST.id, "job.0", time.time())
    terminated = await register.update(FIRST.id, lambda m: m.drain("idle"))
    assert terminated.state is InstanceState.READY
    with pytest.raises(EncoderBusy):
        await register.begin_run(FIRST.id, "job.1", time.time())
    await register.end_run(FIRST.id, "job.0", time.time())
    assert (await register.update(FIRST.id, lambda m: m.terminate("idle"))).state is InstanceState.TERMINATING
    with pytest.raises(EncoderBusy):
        await register.begin_run("fleet-unknown", "job.1", time.time())


async def test_what_ended_long_ago_is_forgotten(register):
    await register.create(FIRST.id, FIRST.terminated(2000.0))
    await register.create("fleet-2", replace(FIRST, id="fleet-2"))
    await register.create("fleet-3", replace(FIRST, id="fleet-3", provider_id="7").terminated(2000.0))
    await register.prune(1999.0, 2001.0)
    assert {m.id for m in register.all()} == {"fleet-2", "fleet-3"}  # of the first nothing came but a plan
    await register.prune(2001.0, 2001.0)
    assert [m.id for m in register.all()] == ["fleet-2"]
    assert await register.get(FIRST.id) is None


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

"""Usage is counted once, whichever gateways count, fail and die, and stays when the jobs are gone."""

import asyncio
import contextlib
import time

import pytest

from gateway.fleet.billing import Cost
from gateway.jobs.claims import Claims
from gateway.jobs.fairness import key_account
from gateway.jobs.model import Job, Result, Task, complete_task, new_id, start_task
from gateway.jobs.store import JobStore
from gateway.usage.counter import UsageCounter
from gateway.usage.counts import day_of
from gateway.usage.ledger import KEPT_SECONDS, UsageLedger
from servicekit.errors import Unavailable
from tests.integration.gateway.jobs.faulty_bucket import FaultyBucket
from tests.support.until import until


def ended_job(now, tenant="acme", key=""):
    tasks, whose = (Task(),), {"tenant": tenant, "key": key}
    job = Job(new_id(now), "caption", b"", batch=False, tasks=tasks, created_at=now, **whose, counted=None)
    result = Result("assets/x", 1, duration_seconds=2.0, size_bytes=10)
    return complete_task(start_task(job, 0, now), 0, result, now + 3)


@contextlib.asynccontextmanager
async def gateway_on(jetstream, cost):
    """What one gateway counts with."""
    bucket = FaultyBucket(await jetstream.key_value("jobs"))
    store = JobStore(bucket, Claims(await jetstream.key_value("claims")), 3600)
    await store.start()
    ledger = UsageLedger(await jetstream.key_value("usage", KEPT_SECONDS))
    try:
        yield bucket, store, UsageCounter(store, ledger, lambda intervals, now: cost())
    finally:
        await store.stop()


async def test_each_job_is_counted_once_by_gateways_that_race_and_fail(jetstream):
    now, costs = time.time(), [Cost(0.25, 3, is_final=False)]
    async with gateway_on(jetstream, lambda: costs[-1]) as one, gateway_on(jetstream, lambda: costs[-1]) as two:
        (bucket, store, counter), (_, others, second) = one, two
        jobs = [ended_job(now, key="" if number else "q7m3xk2rtv") for number in range(5)]
        for job in jobs:
            await store.add(job)
        await until(lambda: len(others.index.uncounted) == 5)

        # The first is cut off between the record of the day and the marks.
        async def cut_off(*args):
            raise Unavailable("The store does not answer.")

        whole, bucket.update = bucket.update, cut_off
        ids = [job.id for job in jobs]
        with pytest.raises(Unavailable):
            await counter.count(ids)
        bucket.update = whole
        await asyncio.gather(counter.count(ids), second.count(ids), second.count(ids))
        day = await counter.ledger.read(day_of(now + 3), "acme")
        assert (day.total.jobs, day.total.output_seconds, day.total.result_bytes) == (5, 10.0, 50)
        assert day.total.cost_usd == 1.25
        of_key = await counter.ledger.read(day_of(now + 3), key_account("q7m3xk2rtv"))
        assert (of_key.total.jobs, of_key.total.cost_usd) == (1, 0.25)
        await until(lambda: not store.index.uncounted and len(store.index.uncosted) == 5)
        costs.append(Cost(0.5, 3, is_final=True))
        await asyncio.gather(counter.count(ids), second.count(ids))
        await until(lambda: not store.index.uncosted)
        await store.prune(now + 4000)
        assert store.index.counts("acme") == {}
        found = [(tenant, used.total) async for tenant, used in second.ledger.all_of(day_of(now + 3))]
        assert [(tenant, total.jobs, total.cost_usd) for tenant, total in found] == [("acme", 5, 2.5)]


async def test_what_ends_is_counted_by_the_loop_and_what_was_kept_from_before_is_not(jetstream):
    now = time.time()
    async with gateway_on(jetstream, lambda: None) as (_, store, counter):
        counting = asyncio.create_task(counter.run())
        try:
            before = Job(new_id(now), "caption", b"", batch=False, tasks=(Task(),), created_at=now)
            await store.add(complete_task(start_task(before, 0, now), 0, Result("assets/x", 1), now))
            await store.add(job := ended_job(now, "a.b"))
            await until(lambda: not store.index.uncounted and job.id in store.index.ids(lambda status: True))
        finally:
            counting.cancel()
        assert [tenant async for tenant, _ in counter.ledger.all_of(day_of(now + 3))] == ["a.b"]

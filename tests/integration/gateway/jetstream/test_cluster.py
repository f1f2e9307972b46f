"""A cluster of stores loses its leader: callers wait some seconds, and see nothing of it."""

import asyncio
import contextlib

from gateway.jetstream.connection import JetStream
from gateway.jobs.listing import JobFilter
from gateway.jobs.model import Status
from gateway.workers.pool import Pool
from tests.integration.gateway.jobs.conftest import ScriptedEncoder, wired
from tests.support.nats_cluster import NatsCluster
from tests.support.until import within

JOBS = 12


async def test_jobs_are_taken_in_while_the_store_has_no_leader(tmp_path):
    async with NatsCluster.running(tmp_path) as cluster, contextlib.AsyncExitStack() as stack:
        jetstream = await JetStream.open(cluster.url, tmp_path, connect_seconds=60, replicas=3)
        stack.push_async_callback(jetstream.close)
        works = await wired(jetstream, tmp_path, Pool(), ScriptedEncoder(), stack, retry={"store_seconds": 60})
        wanted = await works.caption()
        first = await works.manager.submit(wanted)
        cluster.kill(await cluster.leader("KV_jobs"))
        keys = [f"key-{number}" if number % 2 else "" for number in range(JOBS)]
        jobs = await within(asyncio.gather(*(works.manager.submit(wanted, key) for key in keys)))
        # None came in twice, though a write may take effect whose answer was lost.
        found, _ = await within(works.manager.page(JobFilter(), 1000, ""))
        assert {job.id for job in found} == {job.id for job in (first, *jobs)}
        assert {job.status for job in found} == {Status.IN_QUEUE}
        assert works.manager.withdrawals == set()

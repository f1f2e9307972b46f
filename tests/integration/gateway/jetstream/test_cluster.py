"""A cluster of stores loses its leader: callers wait some seconds, and see nothing of it."""

import asyncio
import contextlib

import structlog

from gateway.jetstream.connection import JetStream
from gateway.jobs.listing import JobFilter
from gateway.jobs.model import Status
from gateway.workers.pool import Pool
from tests.integration.gateway.jobs.conftest import ScriptedEncoder, wired
from tests.support.nats_cluster import NatsCluster
from tests.support.until import until, within

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


async def test_a_gateway_that_starts_while_the_store_has_no_leader_waits_for_one(tmp_path):
    async with NatsCluster.running(tmp_path) as cluster, contextlib.AsyncExitStack() as stack:
        jetstream = await JetStream.open(cluster.url, tmp_path, connect_seconds=60, replicas=3)
        stack.push_async_callback(jetstream.close)
        # One of three is no majority: nothing is stored until another is back.
        for name in ("n1", "n2"):
            cluster.kill(name)
        with structlog.testing.capture_logs() as logs:
            opening = asyncio.create_task(jetstream.key_value("a"))
            await until(lambda: opening.done() or any(entry["event"] == "waiting for the store" for entry in logs))
            cluster.start("n1")
            await within(opening)
        queue = await within(jetstream.queue("tasks", 2.0))
        assert await within(queue.put("task"))


async def test_servers_that_the_cluster_tells_of_are_connected_to_with_the_credentials_of_the_url(tmp_path):
    async with NatsCluster.running(tmp_path) as cluster, contextlib.AsyncExitStack() as stack:
        named = cluster.url.split(",")[0]
        jetstream = await JetStream.open(named, tmp_path, connect_seconds=60)
        stack.push_async_callback(jetstream.close)
        await until(lambda: len(jetstream.endpoints) > 1)
        connected = asyncio.Event()
        jetstream.on_reconnect.append(connected.set)
        cluster.kill("n0")
        await within(connected.wait())

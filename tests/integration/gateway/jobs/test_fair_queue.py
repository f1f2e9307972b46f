"""The queue of several tenants, on a real nats-server: whose tasks come first, on every gateway, and again after one died."""

import time

from apigpu.v1 import jobs_pb2
from gateway.callers import Caller, caller
from gateway.jobs.fairness import Lane
from gateway.jobs.queue import TaskQueue, lane_name, lane_of
from gateway.jobs.model import Status
from tests.support.until import until_async, within


def test_lanes_have_names_that_the_queue_takes():
    for lane in (Lane(), Lane("default", "batch"), Lane("acme"), Lane("a.b-c", "interactive")):
        assert lane_of(lane_name(lane)) == lane
    assert lane_name(Lane()) == ""
    assert lane_name(Lane("a.b-c", "interactive")) == "a=b-c.interactive"


async def submitted(works, tenant, count, priority=""):
    token = caller.set(Caller(tenant))
    try:
        said = jobs_pb2.JobOptions(priority=priority)
        wanted = [await of_tenant(works, tenant) for _ in range(count)]
        return [(await works.manager.submit(each, "", said)).id for each in wanted]
    finally:
        caller.reset(token)


async def of_tenant(works, tenant):
    operation = await works.caption()
    for name in (operation.caption.url_video, operation.caption.url_srt):
        await given_to(works, name, tenant)
    return operation


async def given_to(works, name, tenant):
    """Make a file a tenant's."""
    from dataclasses import replace

    from gateway.assets.record import parse_name
    from gateway.assets.store import record_path
    from servicekit.codec import to_json

    asset = await works.assets.describe(parse_name(name))
    await works.assets.bucket.put(record_path(asset.id), to_json(replace(asset, tenant=tenant)))


async def ended(works, *ids):
    """The ids in the order in which the jobs began, once all have ended."""
    jobs = [await until_async(lambda job_id=job_id: completed(works, job_id)) for job_id in ids]
    return [job.id for job in sorted(jobs, key=lambda job: job.started_at)]


async def completed(works, job_id):
    job = await works.store.get(job_id)
    assert job.status in (Status.IN_QUEUE, Status.IN_PROGRESS, Status.COMPLETED), job
    return job if job.status is Status.COMPLETED else None


async def test_a_tenant_of_many_jobs_keeps_no_other_waiting_and_priorities_go_first(works):
    await works.pool.close()
    works.encoder.slots = 1
    many = await submitted(works, "many", 6)
    few = await submitted(works, "few", 2)
    batch = await submitted(works, "default", 1, "batch")
    urgent = await submitted(works, "default", 1, "interactive")
    order = await ended(works, *many, *few, *batch, *urgent)

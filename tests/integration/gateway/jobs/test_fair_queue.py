"""The queue of several tenants, on a real nats-server: whose tasks come first, and again when they are silent."""

import asyncio
import contextlib
import time
from dataclasses import replace

import pytest

from apigpu.v1.jobs_pb2 import JobOptions
from apigpu.v1.video_pb2 import CaptionRequest, Operation
from gateway.callers import Caller, caller
from gateway.jobs import model
from gateway.jobs.fairness import Lane, Share, key_account
from gateway.jobs.model import Job, Status, Task
from gateway.jobs.queue import lane_name, lane_of
from gateway.jobs.store import JobIndex
from servicekit.errors import InvalidArgument
from tests.support.until import until, until_async, within


def test_lanes_have_names_that_the_queue_takes():
    keyed = (Lane("default", key="q7m3xk2rtv"), Lane("a.b", "batch", "q7m3xk2rtv"), Lane("a_", key="q7m3xk2rtv"))
    for lane in (Lane(), Lane("default", "batch"), Lane("acme"), Lane("a.b-c", "interactive"), *keyed):
        assert lane_of(lane_name(lane)) == lane
    assert lane_name(Lane()) == ""
    assert lane_name(Lane("a.b-c", "interactive")) == "a=b-c.interactive"


@contextlib.contextmanager
def calling(tenant, key=""):
    token = caller.set(Caller(tenant, key, is_limited=bool(key)))
    try:
        yield
    finally:
        caller.reset(token)


async def submitted(works, tenant, count, priority="", key=""):
    """Submit captions of files of a tenant, with a key that has limits; return their ids."""
    ids = []
    for _ in range(count):
        async with works.assets.create("a.bin", tenant=tenant) as writer:
            await writer.write(b"input")
            name = (await writer.commit()).name
        with calling(tenant, key):
            wanted = Operation(caption=CaptionRequest(url_video=name, url_srt=name))
            ids.append((await works.manager.submit(wanted, "", JobOptions(priority=priority))).id)
    return ids


async def completed(works, job_id):
    job = await works.store.get(job_id)
    assert job.status in (Status.IN_QUEUE, Status.IN_PROGRESS, Status.COMPLETED), job
    return job if job.status is Status.COMPLETED else None


async def test_a_tenant_of_many_jobs_keeps_no_other_waiting_and_priorities_go_first(works):
    gate = asyncio.Event()
    works.encoder.script = [gate.wait, gate.wait]
    held = await submitted(works, "default", 2)
    await until(lambda: works.encoder.running == 2)
    many = await submitted(works, "many", 8)
    few = await submitted(works, "few", 2)
    batch = await submitted(works, "default", 1, "batch")
    urgent = await submitted(works, "default", 1, "interactive")
    gate.set()
    ids = [*many, *few, *batch, *urgent]
    jobs = [await until_async(lambda job_id=job_id: completed(works, job_id)) for job_id in [*held, *ids]]
    order = [job.id for job in sorted(jobs, key=lambda job: job.started_at) if job.id in ids]
    assert max(map(order.index, few)) < max(map(order.index, many[:5]))
    assert order.index(urgent[0]) < order.index(batch[0]) < order.index(many[-1])
    assert works.store.index.order.lanes() == [Lane()]


async def test_a_message_of_a_lane_comes_again_and_is_queued_once(jetstream):
    queue = await jetstream.queue("tasks", ack_wait_seconds=1)
    lanes = ["acme.normal", "", "a=b.batch"]
    assert [await queue.put("job.0", lane) for lane in lanes] == [True] * 3
    assert await queue.put("job.0", "acme.normal") is False
    first = await queue.next(lambda: lanes)
    assert (first.key, first.lane) == ("job.0", "acme.normal")
    others = [await within(queue.next(lambda: lanes[1:])) for _ in range(2)]
    assert [delivery.lane for delivery in others] == lanes[1:]
    again = await within(queue.next(lambda: lanes[:1]))
    assert (again.lane, again.count) == ("acme.normal", 2)
    for delivery in (again, *others):
        await delivery.ack()
    assert await queue.put("job.0", "acme.normal") is True


async def test_a_priority_that_is_none_is_refused(works):
    with pytest.raises(InvalidArgument, match="priority: 'fast' is none; give one of interactive, normal, batch"):
        await submitted(works, "default", 1, "fast")


class SilentLane:
    """A client of nats-server to which one lane does not answer until it may."""

    def __init__(self, client, lane):
        self.client, self.lane, self.may_answer, self.asked, self.answered = client, lane, asyncio.Event(), 0, 0

    async def request(self, subject, *args, **more):
        if self.lane in subject:
            self.asked += 1
            await self.may_answer.wait()
        answer = await self.client.request(subject, *args, **more)
        self.answered += self.lane in subject
        return answer


async def test_a_lane_that_does_not_answer_holds_up_no_other(jetstream):
    made = await jetstream.queue("tasks", ack_wait_seconds=10)
    queue = replace(made, client=SilentLane(made.client, "acme-normal"))
    lanes = ["acme.normal", ""]
    await queue.put("slow.0", lanes[0])
    for number in range(20):
        await queue.put(f"fast.{number}")
        delivery = await within(queue.next(lambda: lanes))
        assert delivery.key == f"fast.{number}"
        await delivery.ack()
    assert queue.client.asked == 1
    queue.client.may_answer.set()
    assert (await within(queue.next(lambda: lanes))).key == "slow.0"
    await queue.stop()


async def test_a_message_that_comes_when_nobody_waits_for_it_is_free_for_others_at_once(jetstream):
    made = await jetstream.queue("tasks", ack_wait_seconds=60)
    queue, lanes = replace(made, client=SilentLane(made.client, "acme-normal")), ["acme.normal", ""]
    await queue.put("slow.0", lanes[0])
    await queue.put("fast.0")
    assert (await within(queue.next(lambda: lanes))).key == "fast.0"
    queue.client.may_answer.set()  # none takes of this queue any more
    await until(lambda: queue.client.answered)
    again = await within(made.next(lambda: lanes))
    assert (again.key, again.count) == ("slow.0", 2)
    await again.ack()
    await queue.stop()


async def test_a_message_of_a_lane_that_is_not_wanted_any_more_is_free_for_others(jetstream):
    made = await jetstream.queue("tasks", ack_wait_seconds=60)
    queue, lanes = replace(made, client=SilentLane(made.client, "acme-normal")), ["acme.normal"]
    await queue.put("slow.0", lanes[0])
    rounds = 0

    def wanted():
        nonlocal rounds
        rounds += 1
        return lanes if rounds == 1 else [""]

    waiting = asyncio.create_task(queue.next(wanted))
    await until(lambda: rounds > 1)
    queue.client.may_answer.set()
    await until(lambda: queue.client.answered)
    assert (await within(made.next(lambda: lanes), 30)).key == "slow.0"
    waiting.cancel()
    await queue.stop()


async def test_what_came_when_nobody_took_any_more_is_returned(jetstream):
    made = await jetstream.queue("tasks", ack_wait_seconds=60)
    queue = replace(made, client=SilentLane(made.client, "acme-normal"))
    await queue.put("slow.0", "acme.normal")
    waiting = asyncio.create_task(queue.next(lambda: ["acme.normal"]))
    await until(lambda: queue.client.asked)
    waiting.cancel()
    await queue.stop()
    assert (await within(made.next(lambda: ["acme.normal"]))).key == "slow.0"


def test_the_place_of_a_job_is_that_in_its_lane():
    index, jobs = JobIndex(), []
    for number, (tenant, priority) in enumerate([("many", "normal")] * 5 + [("few", "normal"), ("few", "batch")]):
        job = Job(model.new_id(1e9 + number), "probe", b"", False, (Task(),), 1e9, tenant=tenant, priority=priority)
        index.note(job.id, job)
        jobs.append(job.id)
    assert [index.place(job_id) for job_id in jobs] == [1, 2, 3, 4, 5, 1, 1]


@pytest.mark.parametrize("retry", [{"lost_tasks_seconds": 0.1}])
async def test_a_tenant_at_its_limit_gets_back_the_task_of_a_gateway_that_died(works):
    works.store.index.order.share_of = lambda tenant: Share(max_running=1)
    await works.dispatcher.drain(0)
    lost, waiting = await submitted(works, "acme", 2)
    await works.store.update(lost, lambda job: model.start_task(job, 0, time.time()))
    assert works.store.index.order.at_limit(["acme"]) == "acme"
    works.dispatcher.executor.is_shutting_down = False
    works.dispatcher.start()
    for job_id in (lost, waiting):
        await until_async(lambda job_id=job_id: completed(works, job_id))


async def test_no_more_tasks_of_a_tenant_are_at_work_than_it_may_have(works):
    seen, share = [], Share(max_running=1)
    works.store.index.order.share_of = lambda tenant: share

    async def note():
        seen.append(works.encoder.running)

    works.encoder.script = [note] * 5
    await works.dispatcher.drain(0)
    ids = await submitted(works, "acme", 5)
    works.dispatcher.executor.is_shutting_down = False
    works.dispatcher.start()
    for job_id in ids:
        await until_async(lambda job_id=job_id: completed(works, job_id))
    assert seen == [1] * 5


async def test_a_key_at_its_limit_keeps_no_other_of_its_tenant_waiting(works):
    seen, account = list[int](), key_account("kkkkkkkkkk")
    works.store.index.order.share_of = lambda whose: Share(max_running=1) if whose == account else Share()

    async def note():
        seen.append(works.store.index.order.busy.get(account, 0))

    works.encoder.script = [note] * 8
    await works.dispatcher.drain(0)
    mine = await submitted(works, "acme", 4, key="kkkkkkkkkk")
    others = await submitted(works, "acme", 4)
    works.dispatcher.executor.is_shutting_down = False
    works.dispatcher.start()
    jobs = [await until_async(lambda job_id=job_id: completed(works, job_id)) for job_id in [*mine, *others]]
    order = [job.id for job in sorted(jobs, key=lambda job: job.started_at)]
    assert [job.key for job in jobs] == ["kkkkkkkkkk"] * 4 + [""] * 4
    assert max(seen) == 1
    assert max(map(order.index, others)) < order.index(mine[-1])
    await until(lambda: works.store.index.order.lanes() == [Lane()])

"""How many tasks wait and run: what the index counts, on the gateway that runs them and on another."""

import contextlib
import time

import pytest

from apigpu.v1.video_pb2 import Img2VidImage, Img2VidRequest, Operation
from gateway.jobs import model
from gateway.jobs.model import Failure, Job, Result, Status, Task
from gateway.jobs.store import JobIndex, JobStore
from tests.support.until import until

STARTED = 1_700_000_000.0


def job(tasks, at=STARTED):
    return Job(model.new_id(at), "img2vid", b"", True, tuple(Task(str(index)) for index in range(tasks)), at)


def counts(index):
    return index.tasks_waiting, index.tasks_running


def test_tasks_are_counted_one_by_one():
    index, batch = JobIndex(), job(3)
    index.note(batch.id, batch)
    assert counts(index) == (3, 0)
    batch = model.start_task(model.start_task(batch, 0, STARTED), 1, STARTED)
    index.note(batch.id, batch)
    assert counts(index) == (1, 2)
    batch = model.return_task(batch, 1, STARTED, counted=True)
    index.note(batch.id, batch)
    assert counts(index) == (2, 1)
    batch = model.complete_task(batch, 0, Result("assets/a", 2), STARTED)
    index.note(batch.id, batch)
    assert counts(index) == (2, 0)
    index.note(batch.id, model.cancel(batch, Failure(1, "cancelled"), STARTED))
    assert counts(index) == (0, 0)


def test_a_record_that_is_gone_takes_its_tasks_along():
    index, batch, other = JobIndex(), job(2), job(1)
    index.note(batch.id, model.start_task(batch, 0, STARTED))
    index.note(other.id, other)
    index.note(batch.id, None)
    index.note(batch.id, None)
    assert counts(index) == (1, 0)
    index.note(other.id, None)
    assert counts(index) == (0, 0)
    assert index.oldest_wait_seconds(STARTED + 9) == 0


def test_the_oldest_wait_is_that_of_the_oldest_job_with_a_waiting_task():
    index, first, second = JobIndex(), job(2, STARTED), job(1, STARTED + 60)
    assert index.oldest_wait_seconds(STARTED) == 0
    index.note(second.id, second)
    index.note(first.id, first)
    assert index.oldest_wait_seconds(STARTED + 100) == pytest.approx(100)
    first = model.start_task(first, 0, STARTED)
    index.note(first.id, first)
    assert index.oldest_wait_seconds(STARTED + 100) == pytest.approx(100)  # its other task waits on
    index.note(first.id, model.start_task(first, 1, STARTED))
    assert index.oldest_wait_seconds(STARTED + 100) == pytest.approx(40)
    assert index.oldest_wait_seconds(STARTED) == 0  # a clock that is behind


def test_who_listens_to_the_queue_hears_of_jobs_that_come_and_go():
    index, one = JobIndex(), job(1)
    with index.followers.following_queue() as moved:
        index.note(one.id, one)
        assert moved.is_set()
        moved.clear()
        index.note(one.id, None)
        assert moved.is_set()


async def test_another_gateway_counts_the_same(works):
    works.encoder.script = ["hang"] * 5
    other = JobStore(works.bucket, works.store.claims, 3600)
    await other.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(other.stop)
        source = await works.asset()
        images = [Img2VidImage(id=name, image_url=source, duracao=1) for name in "abcde"]
        before = time.time()
        batch = await works.manager.submit(Operation(img2vid=Img2VidRequest(images=images)))
        for index in (works.store.index, other.index):
            await until(lambda index=index: counts(index) == (3, 2))
            assert 0 <= index.oldest_wait_seconds(time.time()) <= time.time() - before + 0.1
        assert (works.store.index.tasks_waiting, works.store.index.tasks_running) == (3, 2)
        assert works.store.index.oldest_wait_seconds(time.time() + 50) > 50
        assert (await works.manager.cancel(batch.id)).status is Status.CANCELLED
        for index in (works.store.index, other.index):
            await until(lambda index=index: counts(index) == (0, 0))

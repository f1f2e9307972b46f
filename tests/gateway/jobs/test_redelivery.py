"""A task's message comes again while the gateway that has the task still lives: only its heartbeats got lost."""

import asyncio
import contextlib
import time

import pytest

from gateway.fleet.holders import Holders
from gateway.jobs import dispatch, model
from gateway.jobs.model import Status


@contextlib.asynccontextmanager
async def held_elsewhere(works, key):
    """Another gateway tells that it has the task; at the end it has let go of it."""
    other, holders = Holders(await works.engine.key_value("fleet"), "other", tell_seconds=0.1), works.fleet.holders
    await other.start()
    with other.holding(key, ""):
        await until(lambda: holders.is_held_elsewhere(key))
        yield
    await until(lambda: not holders.is_held_elsewhere(key))
    await other.stop()


async def started_elsewhere(works, job_id, times):
    for _ in range(times):
        job = await works.store.change(job_id, lambda job: model.start_task(job, 0, time.time()))
    return job.tasks[0]


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_last_try_goes_on_while_its_gateway_lives(works):
    await works.dispatcher.drain(0)
    job = await works.desk.submit(await works.caption())
    last = await started_elsewhere(works, job.id, 3)
    async with held_elsewhere(works, f"{job.id}.0"):
        works.dispatcher.start()
        await asyncio.sleep(0.4)
        assert (await works.desk.get(job.id)).tasks[0] == last
    failed = await works.result(job.id)
    assert (failed.status, works.encoder.tasks) == (Status.FAILED, 0)
    assert "Given up after 3 tries" in failed.failure.message


@pytest.mark.parametrize("starts", [1, 2])
async def test_a_try_that_another_gateway_has_followed_up_changes_nothing(works, starts):
    """With two more starts, the lost encoder comes at the limit of tries."""
    works.encoder.script = [lost := asyncio.Event()]
    job = await works.desk.submit(await works.caption())
    await until(lambda: works.store.index.tasks_running)
    theirs = await started_elsewhere(works, job.id, starts)
    lost.set()
    await until(lambda: not works.dispatcher._running)
    assert (await works.desk.get(job.id)).tasks[0] == theirs
    # Nor has their message gone: it comes again when they fall silent.
    assert not await works.desk._queue.put(job)


async def test_a_full_encoder_leaves_a_task_to_the_living_gateway_that_runs_it(works):
    works.encoder.running = 2  # somebody else's tasks
    await works.dispatcher.drain(0)
    job = await works.desk.submit(await works.caption())
    theirs = await started_elsewhere(works, job.id, 1)
    async with held_elsewhere(works, f"{job.id}.0"):
        works.dispatcher.start()
        await asyncio.sleep(0.4)
        assert (await works.desk.get(job.id)).tasks[0] == theirs
    works.encoder.running = 0
    assert (await works.result(job.id)).status is Status.COMPLETED


async def test_a_try_lost_at_the_limit_is_no_end_while_another_goes_on(works, monkeypatch):
    monkeypatch.setattr(dispatch, "RETRY_SECONDS", 0.1)
    works.encoder.script = [lost := asyncio.Event()]
    await works.dispatcher.drain(0)
    job = await works.desk.submit(await works.caption())
    await started_elsewhere(works, job.id, 2)
    works.dispatcher.start()
    await until(lambda: works.encoder.running)
    async with held_elsewhere(works, f"{job.id}.0"):
        lost.set()
        await until(lambda: not works.dispatcher._running)
        assert not (await works.desk.get(job.id)).status.ended
    assert (await works.result(job.id)).status is Status.FAILED

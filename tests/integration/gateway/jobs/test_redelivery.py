"""A task's message comes again while the gateway that has the task still lives: only its heartbeats got lost."""

import asyncio
import contextlib
import time

import pytest

from gateway.cluster.assignments import TaskAssignments
from gateway.jobs import model
from gateway.jobs.model import Status
from servicekit.errors import Unavailable
from tests.support.until import until


@contextlib.asynccontextmanager
async def held_elsewhere(works, key):
    """Another gateway tells that it has the task; at the end it has let go of it."""
    other, holders = (
        TaskAssignments(await works.jetstream.key_value("fleet"), "other", heartbeat_seconds=0.1),
        works.fleet.assignments,
    )
    await other.start()
    with other.assign(key, ""):
        await until(lambda: holders.is_assigned_elsewhere(key))
        yield
    await until(lambda: not holders.is_assigned_elsewhere(key))
    await other.stop()


async def started_elsewhere(works, job_id, times):
    for _ in range(times):
        job = await works.store.update(job_id, lambda job: model.start_task(job, 0, time.time()))
    return job.tasks[0]


@contextlib.asynccontextmanager
async def left_alone(works, tries):
    """A job of which another living gateway runs that try: at the end nothing was done to it here."""
    await works.dispatcher.drain(0)
    job = await works.manager.submit(await works.caption())
    theirs = await started_elsewhere(works, job.id, tries)
    async with held_elsewhere(works, f"{job.id}.0"):
        works.dispatcher.start()
        yield job
        await asyncio.sleep(0.4)
        assert (await works.store.get(job.id)).tasks[0] == theirs


@pytest.mark.parametrize("retry", [{"interrupted_seconds": 0}])
async def test_the_last_try_goes_on_while_its_gateway_lives(works):
    async with left_alone(works, 3) as job:
        pass
    failed = await works.result(job.id)
    assert (failed.status, works.encoder.tasks) == (Status.FAILED, 0)
    assert "Given up after 3 tries" in failed.failure.message


@pytest.mark.parametrize("ack_wait_seconds", [60.0])
@pytest.mark.parametrize("starts", [1, 2])
async def test_a_try_that_another_gateway_has_followed_up_changes_nothing(works, starts):
    """With two more starts, the lost encoder comes at the limit of tries."""
    works.encoder.script = [lost := asyncio.Event()]
    job = await works.manager.submit(await works.caption())
    await until(lambda: works.store.index.tasks_running)
    theirs = await started_elsewhere(works, job.id, starts)
    lost.set()
    await until(lambda: not works.dispatcher.running)
    assert (await works.store.get(job.id)).tasks[0] == theirs
    # Nor has their message gone: it comes again when they fall silent.
    assert not await works.queue.put(job)


async def test_a_full_encoder_leaves_a_task_to_the_living_gateway_that_runs_it(works):
    works.encoder.running = 2  # somebody else's tasks
    async with left_alone(works, 1) as job:
        pass
    works.encoder.running = 0
    assert (await works.result(job.id)).status is Status.COMPLETED


@pytest.mark.parametrize("retry", [{"retry_seconds": 0.1}])
async def test_a_try_lost_at_the_limit_is_no_end_while_another_goes_on(works):
    failed = asyncio.Event()

    async def fail():
        await failed.wait()
        raise Unavailable("the card fell off", reason="CODEC_FAILED")

    works.encoder.script = [fail]
    await works.dispatcher.drain(0)
    job = await works.manager.submit(await works.caption())
    for _ in range(2):
        await started_elsewhere(works, job.id, 1)
        await works.store.update(job.id, lambda job: model.return_task(job, 0, time.time(), counted=True))
    works.dispatcher.start()
    await until(lambda: works.encoder.running)
    async with held_elsewhere(works, f"{job.id}.0"):
        failed.set()
        await until(lambda: not works.dispatcher.running)
        assert not (await works.store.get(job.id)).status.is_terminal
    assert (await works.result(job.id)).status is Status.FAILED

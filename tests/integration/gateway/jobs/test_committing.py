"""What comes between the write of a record and the answer to it: no result is lost, and no start stands in vain."""

import asyncio

import pytest

from gateway.jobs.model import Status
from servicekit.errors import Aborted
from tests.integration.gateway.jobs.conftest import RENTED, RESULT
from tests.support.until import until, until_async, within


async def kept(works, job_id):
    job = await works.result(job_id)
    assert job.status is Status.COMPLETED
    asset = job.tasks[0].asset.removeprefix("assets/")
    assert b"".join([chunk async for chunk in works.assets.read(asset)]) == RESULT


async def test_when_the_watch_tells_of_the_end_before_the_answer_comes(works):
    works.bucket.end_seconds = 0.3
    job = await works.manager.submit(await works.caption())
    await works.bucket.end_written.wait()
    await asyncio.sleep(0.6)
    await kept(works, job.id)
    await until(lambda: not works.dispatcher.running)
    assert works.encoder.tasks == 1


async def test_when_the_gateway_is_told_to_stop_meanwhile(works):
    works.bucket.end_seconds = 0.3
    job = await works.manager.submit(await works.caption())
    await works.bucket.end_written.wait()
    await works.dispatcher.drain(0)
    await kept(works, job.id)


@pytest.mark.parametrize("retry", [{"record_seconds": 0.3}])
@pytest.mark.parametrize("is_stopped", [False, True])
async def test_when_the_answer_never_comes(works, is_stopped):
    works.bucket.loses_end = True
    job = await works.manager.submit(await works.caption())
    await works.bucket.end_written.wait()
    if is_stopped:
        await works.dispatcher.drain(0)
    await asyncio.sleep(1.0)
    works.bucket.is_away = False
    await kept(works, job.id)


@pytest.mark.parametrize("retry", [{"record_retry_seconds": 0.05}])
async def test_when_others_change_the_record_all_the_time(works, monkeypatch):
    races = [Aborted("others were faster each time")] * 3
    update = works.store.update

    async def contested(job_id, step):
        changed = step(await works.store.get(job_id))
        if changed.status is Status.COMPLETED and races:
            raise races.pop()
        return await update(job_id, step)

    monkeypatch.setattr(works.store, "update", contested)
    job = await works.manager.submit(await works.caption())
    await kept(works, job.id)
    assert (races, works.encoder.tasks) == ([], 1)


@pytest.mark.parametrize("retry", [{"record_seconds": 0.0}])
async def test_a_slot_is_kept_until_the_encoder_has_cleaned_up_also_where_the_end_cannot_be_recorded(
    works, monkeypatch
):
    works.encoder.slots, works.encoder.cleaned_up, failed = 1, asyncio.Event(), asyncio.Event()
    await until(lambda: all(member.slots == 1 for member in works.pool.members))
    update = works.store.update

    async def contested(job_id, step):
        changed = step(await works.store.get(job_id))
        if changed.status is Status.COMPLETED and not failed.is_set():
            failed.set()
            raise Aborted("others were faster each time")
        return await update(job_id, step)

    monkeypatch.setattr(works.store, "update", contested)
    job = await works.manager.submit(await works.caption())
    await failed.wait()

    async def is_returned():
        return (await works.store.get(job.id)).tasks[0].status is Status.IN_QUEUE

    await until_async(is_returned)
    await asyncio.sleep(0.3)  # in which it would be given to the encoder again
    assert not any(member.free for member in works.pool.members)
    works.encoder.cleaned_up.set()
    await kept(works, job.id)
    assert (works.encoder.tasks, works.encoder.overrun) == (2, 0)


async def drained_while_written(works, text):
    """The task of a job, after the gateway was told to stop while a write with `text` was on its way to the store."""
    works.encoder.script, works.bucket.holds = ["hang"], text
    job = await works.manager.submit(await works.caption())
    await until(lambda: works.bucket.held)
    draining = asyncio.create_task(works.dispatcher.drain(0))
    await asyncio.wait([draining], timeout=0.5)
    works.bucket.goes_on.set()
    await within(asyncio.gather(draining, works.bucket.held))
    return (await works.store.get(job.id)).tasks[0]


async def test_a_start_that_is_written_while_the_gateway_stops_does_not_count(works):
    task = await drained_while_written(works, b'"IN_PROGRESS"')
    assert (task.status, task.attempts) == (Status.IN_QUEUE, 0)


async def test_usage_that_is_written_while_the_gateway_stops_ends(rented):
    task = await drained_while_written(rented, RENTED.id.encode())
    assert task.status is Status.IN_QUEUE
    assert [interval for interval in task.usage if interval.ended_at is None] == []

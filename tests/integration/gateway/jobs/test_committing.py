"""What comes between the write of a record and the answer to it: no result is lost, and no start stands in vain."""

import asyncio

import pytest

from gateway.jobs.model import Status
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
async def test_when_others_change_the_record_all_the_time(works):
    works.store.max_update_attempts = 2
    works.bucket.contested, works.bucket.races = b'"COMPLETED"', 6
    job = await works.manager.submit(await works.caption())
    await kept(works, job.id)
    assert (works.bucket.races, works.encoder.tasks) == (0, 1)


@pytest.mark.parametrize("retry", [{"record_seconds": 0.0}])
async def test_a_slot_is_kept_until_the_encoder_has_cleaned_up_also_where_the_end_cannot_be_recorded(works):
    works.encoder.slots, works.encoder.cleaned_up = 1, asyncio.Event()
    await until(lambda: all(member.slots == 1 for member in works.pool.members))
    works.store.max_update_attempts = 1
    works.bucket.contested, works.bucket.races = b'"COMPLETED"', 1
    job = await works.manager.submit(await works.caption())
    await until(lambda: not works.bucket.races)

    async def is_returned():
        return (await works.store.get(job.id)).tasks[0].status is Status.IN_QUEUE

    await until_async(is_returned)
    await asyncio.sleep(0.3)  # in which it would be given to the encoder again
    assert not any(member.free for member in works.pool.members)
    works.encoder.cleaned_up.set()
    await kept(works, job.id)
    assert (works.encoder.tasks, works.encoder.overrun) == (2, 0)


@pytest.mark.parametrize("ack_wait_seconds", [60.0])
@pytest.mark.parametrize("retry", [{"record_seconds": 0.0}])
async def test_a_task_that_comes_again_while_its_slot_is_cleaned_up_goes_to_another_slot(works):
    works.encoder.cleaned_up = asyncio.Event()
    works.store.max_update_attempts = 1
    works.bucket.contested, works.bucket.races = b'"COMPLETED"', 1
    job = await works.manager.submit(await works.caption())
    await kept(works, job.id)  # by its message, long before that would come again by itself
    assert (works.encoder.tasks, works.encoder.running) == (2, 2)
    works.encoder.cleaned_up.set()


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

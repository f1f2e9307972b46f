"""What there is no room for: tasks that the queue does not take, and results that the store does not. And what many
jobs cost that nothing happens to."""

import asyncio
from dataclasses import replace

import pytest

from gateway.jobs.model import Status
from servicekit.disk import DiskFloor
from servicekit.errors import ResourceExhausted
from tests.support.until import until


@pytest.mark.parametrize("retry", [{"max_queued_tasks": 2}])
async def test_a_full_queue_refuses_new_jobs_and_says_when_to_come_again(works):
    hold = asyncio.Event()
    works.encoder.script = [hold.wait, hold.wait]
    wanted = await works.caption()
    running = [await works.manager.submit(wanted) for _ in range(2)]
    await until(lambda: works.store.index.tasks_running == 2)
    waiting = [await works.manager.submit(wanted) for _ in range(2)]
    with pytest.raises(ResourceExhausted) as refused:
        await works.manager.submit(wanted)
    assert refused.value.reason == "QUEUE_FULL"
    assert refused.value.retry_seconds > 0
    hold.set()
    assert {(await works.result(job.id)).status for job in running + waiting} == {Status.COMPLETED}
    await works.result((await works.manager.submit(wanted)).id)


@pytest.mark.parametrize("retry", [{"room_seconds": 0.01, "retry_seconds": 0.01, "max_retry_seconds": 0.02}])
async def test_work_waits_for_a_store_that_is_full_and_nothing_is_lost(works, tmp_path):
    wanted, room = await works.caption(), works.assets.floor

    async def fill():
        works.assets.floor = replace(DiskFloor(tmp_path, 1 << 60), reason="STORAGE_FULL")

    works.encoder.script = [fill] * 3
    jobs = [await works.manager.submit(wanted) for _ in range(3)]
    await until(lambda: not works.dispatcher.running and works.encoder.tasks)
    found = [await works.store.get(job.id) for job in jobs]
    assert not any(job.status.is_terminal for job in found)
    works.encoder.script = []  # those that were not begun must not fill it again
    works.assets.floor = room
    assert {(await works.result(job.id)).status for job in jobs} == {Status.COMPLETED}


async def test_jobs_that_are_in_the_queue_are_looked_at_without_a_read(works):
    await works.dispatcher.drain(0)
    wanted = await works.caption()
    jobs = [await works.manager.submit(wanted) for _ in range(5)]
    asked = works.bucket.asked
    await works.queue.recover(works.store)
    assert works.bucket.asked == asked
    attempt = await works.queue.next()
    await attempt.delivery.ack()  # as if its message had never come
    await works.queue.recover(works.store)
    assert works.bucket.asked == asked + 1
    works.dispatcher.start()
    assert {(await works.result(job.id)).status for job in jobs} == {Status.COMPLETED}

"""A result that was made is kept, whatever comes between the write of its record and the answer to it."""

import asyncio

import pytest

from gateway.jobs.model import Status
from gateway.jobs.retry import RetryPolicy
from servicekit.errors import Aborted, Unavailable
from tests.integration.gateway.jobs.conftest import RESULT


class Store:
    """A KeyValue whose answers to the record of an end take their time, or do not come (and nothing after them), or
    say `races` times that somebody else was faster."""

    def __init__(self, records, *, answers_after=0.0, is_lost=False, races=0):
        self._records, self.watch, self.delete = records, records.watch, records.delete
        self.create, self.max_value_bytes = records.create, records.max_value_bytes
        self._answers_after, self._is_lost, self.races = answers_after, is_lost, races
        self.written, self.is_away = asyncio.Event(), False

    async def get(self, key):
        if self.is_away:
            raise Unavailable("the store is away")
        return await self._records.get(key)

    async def update(self, key, value, revision):
        if b'"COMPLETED"' in value and self.races:
            self.races -= 1
            raise Aborted("somebody else was faster")
        revision = await self._records.update(key, value, revision)
        if b'"COMPLETED"' in value and not self.written.is_set():
            self.written.set()
            await asyncio.sleep(self._answers_after)
            self.is_away = self._is_lost
            if self.is_away:
                raise Unavailable("the answer is lost")
        return revision


async def kept(works, job_id):
    job = await works.result(job_id)
    assert job.status is Status.COMPLETED
    asset = job.tasks[0].asset.removeprefix("assets/")
    assert b"".join([chunk async for chunk in works.assets.read(asset)]) == RESULT


async def test_when_the_watch_tells_of_the_end_before_the_answer_comes(works):
    works.store._records = store = Store(works.store._records, answers_after=0.3)
    job = await works.desk.submit(await works.caption())
    await store.written.wait()
    await asyncio.sleep(0.6)
    await kept(works, job.id)
    assert not works.dispatcher._running
    assert works.encoder.tasks == 1


async def test_when_the_gateway_is_told_to_stop_meanwhile(works):
    works.store._records = store = Store(works.store._records, answers_after=0.3)
    job = await works.desk.submit(await works.caption())
    await store.written.wait()
    await works.dispatcher.drain(0)
    await kept(works, job.id)


@pytest.mark.parametrize("patience", [RetryPolicy(record_seconds=0.3)])
@pytest.mark.parametrize("is_stopped", [False, True])
async def test_when_the_answer_never_comes(works, is_stopped):
    works.store._records = store = Store(works.store._records, is_lost=True)
    job = await works.desk.submit(await works.caption())
    await store.written.wait()
    if is_stopped:
        await works.dispatcher.drain(0)
    await asyncio.sleep(1.0)
    store.is_away = False
    await kept(works, job.id)


@pytest.mark.parametrize("patience", [RetryPolicy(change_tries=3, record_retry_seconds=0.05)])
async def test_when_others_change_the_record_all_the_time(works):
    works.store._records = store = Store(works.store._records, races=7)
    job = await works.desk.submit(await works.caption())
    await kept(works, job.id)
    assert (store.races, works.encoder.tasks) == (0, 1)

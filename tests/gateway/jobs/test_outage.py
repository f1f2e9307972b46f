"""A store that does not answer for a while: whoever waits goes on waiting, and what was refused does not run."""

import asyncio

from gateway.assets.links import Links
from gateway.jobs import desk
from gateway.jobs.model import Status
from gateway.services.messages import Messages
from gateway.services.watch import Watch
from rpc.errors import Unavailable


class Records:
    """A KeyValue that can be away."""

    def __init__(self, records):
        self._records, self.watch, self.delete = records, records.watch, records.delete
        self.max_value_bytes = records.max_value_bytes
        self.is_away, self.refused = False, 0

    async def get(self, key):
        return await self._answered(self._records.get, key)

    async def create(self, *args):
        return await self._answered(self._records.create, *args)

    async def update(self, *args):
        return await self._answered(self._records.update, *args)

    async def _answered(self, asking, *args):
        if self.is_away:
            self.refused += 1
            raise Unavailable("the store is away")
        return await asking(*args)


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_whoever_waits_for_a_job_waits_on(works, monkeypatch):
    monkeypatch.setattr(desk, "RECHECK_SECONDS", 0.1)
    works.store._records = records = Records(works.store._records)
    works.encoder.script = [0.8]
    job = await works.desk.submit(await works.caption())
    await until(lambda: works.store.index.tasks_running)
    records.is_away = True
    waiting = asyncio.create_task(works.result(job.id))
    await until(lambda: records.refused > 5)
    records.is_away = False
    assert (await waiting).status is Status.COMPLETED


async def test_whoever_watches_a_job_watches_on(works, monkeypatch):
    monkeypatch.setattr(desk, "RECHECK_SECONDS", 0.1)
    works.store._records = records = Records(works.store._records)
    works.encoder.script = [0.8]
    job = await works.desk.submit(await works.caption())
    await until(lambda: works.store.index.tasks_running)
    messages = Messages(Links(b"s" * 32, 60), works.fleet.meter.cost)
    events = Watch(works.desk, messages, works.fleet, "").events(job.id)
    assert (await anext(events)).WhichOneof("event")
    records.is_away = True
    going_on = asyncio.create_task(anext(events))
    await until(lambda: records.refused > 5)
    assert not going_on.done()
    records.is_away = False
    seen = [await going_on, *[event async for event in events]]
    assert seen[-1].HasField("finished")

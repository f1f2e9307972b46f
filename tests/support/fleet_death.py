"""Gateways that die as `kill -9` ends them: at a certain thing that they do to the world, before or after it."""

import asyncio

from gateway.cluster.assignments import PREFIX as HOLDER
from gateway.cluster.leader import KEY as LEASE
from servicekit.errors import Unavailable


class Death:
    """Comes `when` ("before", "after") the thing number `at` (from 1; None: it is left to `come`). `begun` and `done`
    name the things. Whoever is dead does nothing more, and learns nothing more."""

    def __init__(self, at=None, when="before"):
        self.at, self.when, self.is_buried = at, when, False
        self.begun, self.done = [], []
        self.came = asyncio.Event()

    def come(self):
        self.came.set()

    def bury(self):
        """What still hangs may end now, without an effect."""
        self.come()
        self.is_buried = True

    async def effect(self, name, doing):
        await self.alive()
        self.begun.append(name)
        is_last = len(self.begun) == self.at
        if is_last and self.when == "before":
            self.come()
        await self.alive()
        value = await doing()
        self.done.append(name)
        if is_last:
            self.come()
        await self.alive()
        return value

    async def learn(self, asking):
        await self.alive()
        value = await asking()
        await self.alive()
        return value

    async def alive(self):
        if self.is_buried:
            raise Unavailable("dead and buried")
        if self.came.is_set():
            await asyncio.Future()


class MortalStore:
    """A KeyValue in the hands of such a gateway. The lease is kept as long as it lives: when is a matter of time."""

    def __init__(self, records, death):
        self._records, self._death, self.watch = records, death, records.watch

    async def get(self, key):
        return await self._death.learn(lambda: self._records.get(key))

    async def create(self, key, value):
        return await self._write("create", key, lambda: self._records.create(key, value))

    async def update(self, key, value, revision):
        return await self._write("update", key, lambda: self._records.update(key, value, revision))

    async def put(self, key, value):
        return await self._death.learn(lambda: self._records.put(key, value))

    async def delete(self, key):
        return await self._write("delete", key, lambda: self._records.delete(key))

    async def _write(self, what, key, writing):
        if key == LEASE or key.startswith(HOLDER):
            return await self._death.learn(writing)
        return await self._death.effect(f"{what} {key.partition('.')[0]}", writing)


class MortalClient:
    """A VastClient in the hands of such a gateway."""

    def __init__(self, client, death):
        self._client, self._death, self.close = client, death, client.close

    async def search(self, query):
        return await self._death.learn(lambda: self._client.search(query))

    async def instances(self):
        return await self._death.learn(self._client.instances)

    async def create(self, offer, order):
        return await self._death.effect("order", lambda: self._client.create(offer, order))

    async def destroy(self, number):
        return await self._death.effect("destroy", lambda: self._client.destroy(number))

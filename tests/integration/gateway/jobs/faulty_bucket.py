"""A KeyValue that fails as a test says, in front of the real one."""

import asyncio

from servicekit.errors import Aborted, Unavailable


class FaultyBucket:
    """Passes everything on until it is told otherwise.

    While it `is_away` reads and writes fail; what was to be created meanwhile is written by `flush`. With `silence` set
    reads wait for that event. `faults` are raised by the next reads. The answer to the record of a task's end comes
    after `end_seconds`, or, if it `loses_end`, not at all, and nothing after it. The next update whose value contains
    `holds` becomes `held`: it is on its way until `goes_on` is set, even if nobody waits for it any more. In the next
    `races` updates whose value contains `contested` another writer is faster.
    """

    def __init__(self, bucket):
        self.bucket = bucket
        self.watch, self.delete, self.keys, self.put = bucket.watch, bucket.delete, bucket.keys, bucket.put
        self.max_value_bytes = bucket.max_value_bytes
        self.is_away, self.silence, self.faults = False, None, []
        self.end_seconds, self.loses_end, self.end_written = 0.0, False, asyncio.Event()
        self.asked = self.refused = 0
        self.holds, self.held, self.goes_on = None, None, asyncio.Event()
        self.contested, self.races = b"", 0
        self._unsent = []

    async def get(self, key):
        if self.silence:
            self.refused += 1
            await self.silence.wait()
        if self.faults:
            raise self.faults.pop()
        return await self._answered(self.bucket.get, key)

    async def create(self, *args):
        if self.is_away:
            self._unsent.append(args)
        return await self._answered(self.bucket.create, *args)

    async def flush(self):
        for args in self._unsent:
            await self.bucket.create(*args)

    async def update(self, key, value, revision):
        if self.races and self.contested in value:
            self.races -= 1
            raise Aborted("another writer was faster")
        written = await self._answered(self._updated, key, value, revision)
        if b'"COMPLETED"' in value and not self.end_written.is_set():
            self.end_written.set()
            await asyncio.sleep(self.end_seconds)
            self.is_away = self.loses_end
            if self.is_away:
                raise Unavailable("the answer is lost")
        return written

    async def _updated(self, key, value, revision):
        if self.holds is None or self.holds not in value:
            return await self.bucket.update(key, value, revision)
        self.holds, self.held = None, asyncio.create_task(self._late(key, value, revision))
        return await asyncio.shield(self.held)

    async def _late(self, *write):
        await self.goes_on.wait()
        return await self.bucket.update(*write)

    async def _answered(self, asking, *args):
        if self.is_away:
            self.refused += 1
            raise Unavailable("the store is away")
        self.asked += 1
        return await asking(*args)

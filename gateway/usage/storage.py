"""The bytes that each tenant has stored: counted as files come and go, and once a day from their records.

Each gateway adds up what it stores and deletes, and writes that down every few seconds; all follow what is written.
What a gateway had not written down when it was killed, the daily count makes good.
"""

import asyncio
import contextlib
import functools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from gateway.assets.account import StorageAccount
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from servicekit.errors import Aborted, Unavailable
from servicekit.tasks import log_and_continue, run_to_completion

log = structlog.get_logger("gateway.usage")

PREFIX = "stored."
FLUSH_SECONDS = 2.0
COUNT_SECONDS = 86_400.0
# Longer than any that read the record of a file before it was deleted are at deleting it.
CLAIM_SECONDS = 3600.0
# No id of a file.
COUNTING = "counting"


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """What a tenant has stored, and when that was last counted from the records of files (0: never)."""

    size_bytes: int = 0
    counted_at: float = 0.0


# Yields id, tenant and size of each upload that is to become a file, and of each file.
Files = Callable[[], AsyncIterator[tuple[str, str, int]]]


@dataclass(eq=False)
class StorageMeter(StorageAccount):
    """Counts for one gateway, which knows what all have counted. `limited` returns the tenants with a limit, for which
    alone files are counted from their records; `check_limit` raises for one that may not have so many bytes more."""

    records: Records[StoredBytes]
    # Says what one gateway alone does, which created the key: a file counts no more (its id), all are counted.
    claims: KeyValue
    files: Files
    limited: Callable[[], list[str]]
    check_limit: Callable[[str, int], None]
    _pending: Counter[str] = field(default_factory=Counter, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _flushing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @classmethod
    async def open(
        cls,
        bucket: KeyValue,
        claims: KeyValue,
        files: Files,
        limited: Callable[[], list[str]],
        check_limit: Callable[[str, int], None],
    ) -> "StorageMeter":
        """Read what is written down, and follow it from then on."""
        meter = cls(Records(bucket, StoredBytes, "stored", PREFIX), claims, files, limited, check_limit)
        await meter.records.start()
        return meter

    def used(self, tenant: str) -> int:
        """Return the bytes that a tenant has stored."""
        known = self.records.cached.get(tenant, StoredBytes())
        return max(0, known.size_bytes + self._pending[tenant])

    def check(self, tenant: str, more_bytes: int) -> None:
        self.check_limit(tenant, more_bytes)

    def add(self, tenant: str, change_bytes: int) -> None:
        if change_bytes:
            self._pending[tenant] += change_bytes
            self._changed.set()

    async def remove(self, file_id: str, tenant: str, size_bytes: int) -> None:
        await run_to_completion(self._remove(file_id, tenant, size_bytes))

    async def _remove(self, file_id: str, tenant: str, size_bytes: int) -> None:
        # Where it cannot be known who was first the bytes count on, until the daily count.
        with contextlib.suppress(Unavailable):
            if await self._claim(file_id):
                self.add(tenant, -size_bytes)

    async def run(self) -> None:
        """Write down what changes, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(FLUSH_SECONDS)
            with log_and_continue("cannot write down what is stored; trying again"):
                await self.flush()
                continue
            self._changed.set()

    async def flush(self) -> None:
        """Write down what has changed. Raise Unavailable."""
        async with self._flushing:
            for tenant, change in list(self._pending.items()):
                await self._update(tenant, functools.partial(moved, change_bytes=change))
                self._pending[tenant] -= change
                if not self._pending[tenant]:
                    del self._pending[tenant]

    async def count_daily(self) -> None:
        """Count files from their records where that was not done for a day, unless another gateway is at it. Raise
        Unavailable."""
        since = time.time() - COUNT_SECONDS
        due = [name for name in self.limited() if self.records.cached.get(name, StoredBytes()).counted_at < since]
        if not due or not await self._claim(COUNTING):
            return
        try:
            known = [await self.records.get(name) or StoredBytes() for name in due]
            if any(each.counted_at < since for each in known):  # another gateway may have ended just now
                await self._count(due)
        finally:
            await self.claims.delete(COUNTING)

    async def _count(self, due: list[str]) -> None:
        """Count all files. What is stored and deleted meanwhile is what the records of tenants change by."""
        await self.flush()
        started, before = time.time(), dict(self.records.cached)
        seen, totals = set[str](), Counter[str]()
        async for file_id, tenant, size_bytes in self.files():
            if file_id not in seen:
                seen.add(file_id)
                totals[tenant] += size_bytes
        for tenant in {*totals, *self.records.cached, *due}:
            more = totals[tenant] - before.get(tenant, StoredBytes()).size_bytes
            await self._update(tenant, functools.partial(counted, more_bytes=more, now=started))
        log.info("stored files counted", tenants=len(totals), bytes=totals.total())

    async def _claim(self, key: str) -> bool:
        """Return True for the first who asks."""
        with contextlib.suppress(Aborted):
            await self.claims.create(key, b"")
            return True
        return False

    def _update(self, tenant: str, step: Callable[[StoredBytes], StoredBytes]) -> Awaitable[StoredBytes]:
        return self.records.update(tenant, step, StoredBytes())


def moved(found: StoredBytes, change_bytes: int) -> StoredBytes:
    """Add bytes; there are never less than none."""
    return replace(found, size_bytes=max(0, found.size_bytes + change_bytes))


def counted(found: StoredBytes, more_bytes: int, now: float) -> StoredBytes:
    """Add what was counted more than was known when the count began."""
    return replace(moved(found, more_bytes), counted_at=now)

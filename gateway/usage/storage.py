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
REMOVED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """What a tenant has stored, and when that was last counted from the records of files (0: never)."""

    size_bytes: int = 0
    counted_at: float = 0.0


# Yields the tenant and the size of each file, and of each upload that is to become one.
Files = Callable[[], AsyncIterator[tuple[str, int]]]


@dataclass(eq=False)
class StorageMeter(StorageAccount):
    """Counts for one gateway, which knows what all have counted. `limited` returns the tenants with a limit, for which
    alone files are counted from their records; `check_limit` raises for one that may not have so many bytes more."""

    records: Records[StoredBytes]
    # Has the ids of files that count no more, for REMOVED_SECONDS: of those who delete a file one writes it.
    removed: KeyValue
    files: Files
    limited: Callable[[], list[str]]
    check_limit: Callable[[str, int], None]
    _pending: Counter[str] = field(default_factory=Counter, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @classmethod
    async def open(
        cls,
        bucket: KeyValue,
        removed: KeyValue,
        files: Files,
        limited: Callable[[], list[str]],
        check_limit: Callable[[str, int], None],
    ) -> "StorageMeter":
        """Read what is written down, and follow it from then on."""
        meter = cls(Records(bucket, StoredBytes, "stored", PREFIX), removed, files, limited, check_limit)
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
        with contextlib.suppress(Aborted, Unavailable):
            await self.removed.create(file_id, b"")
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
        for tenant, change in list(self._pending.items()):
            await self._update(tenant, functools.partial(moved, change_bytes=change))
            self._pending[tenant] -= change
            if not self._pending[tenant]:
                del self._pending[tenant]

    async def count_daily(self) -> None:
        """Count files from their records where that was not done for a day. Raise Unavailable."""
        since = time.time() - COUNT_SECONDS
        due = [name for name in self.limited() if self._counted_at(name) < since]
        if not due:
            return
        started, totals = time.time(), Counter[str]()
        async for tenant, size_bytes in self.files():
            totals[tenant] += size_bytes
        for tenant in {*totals, *self.records.cached, *due}:
            self._pending.pop(tenant, None)  # its files are among those counted
            await self._update(tenant, functools.partial(_replaced, by=StoredBytes(totals[tenant], started)))
        log.info("stored files counted", tenants=len(totals), bytes=totals.total())

    def _counted_at(self, tenant: str) -> float:
        return self.records.cached.get(tenant, StoredBytes()).counted_at

    def _update(self, tenant: str, step: Callable[[StoredBytes], StoredBytes]) -> Awaitable[StoredBytes]:
        return self.records.update(tenant, step, StoredBytes())


def moved(found: StoredBytes, change_bytes: int) -> StoredBytes:
    """Add bytes; there are never less than none."""
    return replace(found, size_bytes=max(0, found.size_bytes + change_bytes))


def _replaced(_: StoredBytes, by: StoredBytes) -> StoredBytes:
    return by

"""A bucket of entries with revisions: compare-and-set, and a watch that survives reconnects."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from nats.js import JetStreamContext
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue as Bucket

from gateway.jetstream.errors import nats_errors
from servicekit.errors import Aborted, Unavailable
from servicekit.tasks import cancel_and_wait, log_and_continue

log = structlog.get_logger("gateway.jetstream")

RETRY_SECONDS = 0.5
# Between two looks at whether a watch has told all that there was at its start.
COUNT_SECONDS = 0.02
# So many keys of a bucket are listed at most.
MAX_KEYS = 100_000
# The key of an entry without meaning, by which a bucket is asked whether it takes writes.
PROBE = "_probe"

Changed = Callable[[str, bytes | None, int], None]


class Entry(NamedTuple):
    """A value and its revision."""

    value: bytes
    revision: int


@dataclass(eq=False)
class KeyValue:
    """A bucket. Errors: Unavailable, and Aborted where it is named."""

    name: str
    bucket: Bucket
    stream: JetStreamContext
    max_value_bytes: int
    # Set by each write that the server does not confirm.
    write_failed: asyncio.Event = field(default_factory=asyncio.Event)
    _watchers: set[Bucket.KeyWatcher] = field(default_factory=set, init=False)
    _stopping: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def get(self, key: str) -> Entry | None:
        """Return the entry, or None."""
        with nats_errors():
            try:
                entry = await self.bucket.get(key)
            except KeyNotFoundError:
                return None
        return Entry(entry.value or b"", entry.revision or 0)

    async def create(self, key: str, value: bytes) -> int:
        """Write a new entry; return its revision. Raise Aborted if the key exists."""
        return await self._written(self.bucket.create(key, value), key)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Replace the entry if it is still at `revision`; return the new revision. Raise Aborted if it is not."""
        return await self._written(self.bucket.update(key, value, revision), key)

    async def put(self, key: str, value: bytes) -> int:
        """Write the entry, whatever it was; return its revision."""
        return await self._written(self.bucket.put(key, value), key)

    async def can_write(self) -> bool:
        """Try a write; return False if the server does not confirm it."""
        try:
            await self.put(PROBE, b"")
        except Unavailable:
            return False
        return True

    async def delete(self, key: str, revision: int | None = None) -> None:
        """Purge the entry; with a `revision` only up to that, so that a newer one stays. Watches are not told."""
        before = None if revision is None else revision + 1
        with nats_errors():
            await self.stream.purge_stream(f"KV_{self.name}", seq=before, subject=f"$KV.{self.name}.{key}")

    async def keys(self, under: str = "") -> list[str]:
        """Return the keys of all entries, or of those under a key ("a.b."), MAX_KEYS at most.

        The client library lists them by a watch, which under load may say that it is through before an entry has come.
        """
        prefix = f"$KV.{self.name}."
        with nats_errors():
            found = await self.stream.stream_info(f"KV_{self.name}", subjects_filter=f"{prefix}{under}>")
        keys = (subject.removeprefix(prefix) for subject in found.state.subjects or ())
        return [key for key in keys if key != PROBE]

    async def watch(self, changed: Changed, ready: asyncio.Event) -> None:
        """Call `changed(key, value, revision)` for every entry, then for every change (None: deleted), until cancelled.

        `ready` is set after the entries of the start. After a reconnect all entries come again: the watch of the client
        library falls silent when the server restarts.
        """
        while True:
            with log_and_continue("watch failed; starting it again"):
                await self._watch_once(changed, ready)
                continue
            await asyncio.sleep(RETRY_SECONDS)

    async def _watch_once(self, changed: Changed, ready: asyncio.Event) -> None:
        with nats_errors():
            watcher = await self.bucket.watchall()
        self._watchers.add(watcher)
        seen: set[str] = set()
        waiting = asyncio.create_task(self._wait_for_all(seen, ready))
        try:
            async for entry in watcher:
                if entry is None:
                    continue
                if not ready.is_set():
                    seen.add(entry.key)
                if entry.key == PROBE:
                    continue
                try:  # no block of its own for each of the many entries of a start
                    changed(entry.key, entry.value if entry.operation is None else None, entry.revision or 0)
                except Exception:
                    log.exception("cannot take in a record", key=entry.key)
        finally:
            await cancel_and_wait(waiting)
            self._watchers.discard(watcher)
            await _stop(watcher)

    async def _wait_for_all(self, seen: set[str], ready: asyncio.Event) -> None:
        """Set `ready` once as many keys were seen as the bucket has.

        The client library has a sign for that, which it may give before the first entry has come. While entries come
        they are not counted again: the answer would come after all of them.
        """
        count, known = None, -1
        while not ready.is_set():
            if count is None or known == len(seen):
                with log_and_continue(f"cannot count the entries of {self.name}; trying again"), nats_errors():
                    count = (await self.stream.stream_info(f"KV_{self.name}")).state.messages
            if count is not None and len(seen) >= count:
                ready.set()
                return
            known = len(seen)
            await asyncio.sleep(COUNT_SECONDS)

    async def _written(self, writing: Awaitable[int], key: str) -> int:
        try:
            with nats_errors():
                try:
                    return await writing
                except KeyWrongLastSequenceError as error:
                    raise Aborted(
                        f"{key} was changed by somebody else meanwhile", reason="CHANGED_MEANWHILE"
                    ) from error
        except Unavailable:
            self.write_failed.set()
            raise

    def restart_watches(self) -> None:
        """Restart every watch, as after a reconnect."""
        for watcher in self._watchers:
            task = asyncio.ensure_future(_stop(watcher))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)


async def _stop(watcher: Bucket.KeyWatcher) -> None:
    with contextlib.suppress(Exception):
        await watcher.stop()  # type: ignore[no-untyped-call]

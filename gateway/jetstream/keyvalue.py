"""A bucket of records with revisions: compare-and-set, and a watch that survives reconnects."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog
from nats.js import JetStreamContext
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError, NoKeysError
from nats.js.kv import KeyValue as Bucket

from gateway.jetstream.errors import nats_errors
from servicekit.errors import Aborted
from servicekit.tasks import log_and_continue

log = structlog.get_logger("engine")

RETRY_SECONDS = 0.5

Changed = Callable[[str, bytes | None, int], None]


class Entry(NamedTuple):
    """A record and the revision that it is at."""

    value: bytes
    revision: int


class KeyValue:
    """The bucket. Errors: Unavailable; Aborted where said."""

    def __init__(self, name: str, bucket: Bucket, stream: JetStreamContext, max_value_bytes: int) -> None:
        self._name = name
        self._bucket = bucket
        self._stream = stream
        self.max_value_bytes = max_value_bytes
        self._watchers: set[Bucket.KeyWatcher] = set()
        self._stopping: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> Entry | None:
        """The record, or None."""
        with nats_errors():
            try:
                entry = await self._bucket.get(key)
            except KeyNotFoundError:
                return None
        return Entry(entry.value or b"", entry.revision or 0)

    async def create(self, key: str, value: bytes) -> int:
        """Write a new record; its revision. Raises Aborted when the key exists."""
        return await _written(self._bucket.create(key, value), key)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Replace the record if it is still at `revision`; the new revision. Raises Aborted when it is not."""
        return await _written(self._bucket.update(key, value, revision), key)

    async def put(self, key: str, value: bytes) -> int:
        """Write the record whatever it was; its revision."""
        with nats_errors():
            return await self._bucket.put(key, value)

    async def delete(self, key: str) -> None:
        """Remove the record without a trace; watches are not told."""
        with nats_errors():
            await self._stream.purge_stream(f"KV_{self._name}", subject=f"$KV.{self._name}.{key}")

    async def keys(self) -> list[str]:
        """The keys of all records."""
        with nats_errors():
            try:
                return await self._bucket.keys()
            except NoKeysError:
                return []

    async def watch(self, changed: Changed, ready: asyncio.Event) -> None:
        """Call `changed(key, value, revision)` for every record, then for every change (None: deleted).

        `ready` is set when what existed at the start has been told. After a reconnect all is told again: the client
        library's own watch falls silent when the server restarts.
        """
        while True:
            with log_and_continue("watch failed; starting it again"):
                await self._watch_once(changed, ready)
                continue
            await asyncio.sleep(RETRY_SECONDS)

    async def _watch_once(self, changed: Changed, ready: asyncio.Event) -> None:
        with nats_errors():
            watcher = await self._bucket.watchall()
        self._watchers.add(watcher)
        try:
            async for entry in watcher:
                if entry is None:
                    ready.set()
                    continue
                with log_and_continue(f"cannot take in record {entry.key}"):
                    changed(entry.key, entry.value if entry.operation is None else None, entry.revision or 0)
        finally:
            self._watchers.discard(watcher)
            await _stop(watcher)

    def restart_watches(self) -> None:
        """Begin every watch anew."""
        for watcher in self._watchers:
            task = asyncio.ensure_future(_stop(watcher))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)


async def _stop(watcher: Bucket.KeyWatcher) -> None:
    with contextlib.suppress(Exception):
        await watcher.stop()  # type: ignore[no-untyped-call]


async def _written(writing: Awaitable[int], key: str) -> int:
    with nats_errors():
        try:
            return await writing
        except KeyWrongLastSequenceError as error:
            raise Aborted(f"{key} was changed by somebody else meanwhile") from error

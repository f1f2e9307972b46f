"""Records of one type in a bucket: read, changed by compare-and-set, followed by a watch."""

import asyncio
import contextlib
import contextvars
import math
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from gateway.jetstream.keyvalue import MAX_KEYS, KeyValue
from servicekit.backoff import Backoff
from servicekit.codec import from_json, to_json
from servicekit.collector import filling_memory
from servicekit.errors import Aborted, Internal, NotFound, Unavailable
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.jetstream")

T = TypeVar("T")
V = TypeVar("V")

MAX_UPDATE_ATTEMPTS = 100
# Records that were read or written last, as they are stored and what they are: one that changes often, like that of a
# job of hundreds of tasks, is not parsed anew for each change.
MAX_RECENT = 64
# What is known of a record that was not seen.
UNSEEN = (None, -1, -math.inf)
# Larger records are stored compressed: each change is written whole, and told to every gateway. JSON never begins so.
MIN_PACKED_BYTES = 32 * 1024
PACKED = b"x"
# After a record of so many bytes was written, changes of it gather for so long: those of tasks that begin one after the
# other would cost a write each, of all there is.
GATHER_BYTES, GATHER_SECONDS = 8 * 1024, 0.02
# Many writers at once would take each other's chance over and over: the whole pause is left to chance.
UPDATE_BACKOFF = Backoff(first_seconds=0.005, max_seconds=0.1, jitter=1.0)


class UnreadableRecord(Internal):
    """A record that this version cannot read, because a later one wrote it. It is left alone."""


@dataclass(eq=False)
class _Change(Generic[T]):
    """A change of a record that waits to be written, and what came of it at the last try."""

    step: Callable[[T], T]
    default: T | None
    done: "asyncio.Future[T]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    outcome: T | Exception | None = None

    def applied(self, value: T | None, missing: Callable[[], NotFound]) -> T | None:
        """Return the value after the step; as it was, where the step raises or there is none."""
        begun = self.default if value is None else value
        if begun is None:
            self.outcome = missing()
            return None
        try:
            self.outcome = self.step(begun)
        except Exception as error:
            self.outcome = error
            return value
        return self.outcome

    def end(self) -> None:
        """Tell who waits what came of it."""
        if isinstance(self.outcome, Exception):
            self.fail(self.outcome)
        elif not self.done.done():
            self.done.set_result(self.outcome)  # type: ignore[arg-type]  # it was applied

    def fail(self, error: Exception) -> None:
        """Tell who waits that it could not be done."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(eq=False)
class Records(Generic[T]):
    """The records of `bucket` whose keys begin with `prefix`, each the JSON of one value. Keys are given without it.

    `noun` names a record in texts and reasons ("job": JOB_NOT_FOUND), `missing` is the text of NotFound. Without
    `keeps_values` only revisions are kept in memory; of records that are never started, the last few alone. With
    `repeats` a watch that begins anew tells listeners of unchanged records too. Errors: UnreadableRecord, Unavailable
    (the store does not answer), and those named below.
    """

    bucket: KeyValue
    kind: type[T]
    noun: str
    prefix: str = ""
    missing: str = "There is no {noun} {key}."
    keeps_values: bool = True
    repeats: bool = False
    max_update_attempts: int = MAX_UPDATE_ATTEMPTS
    gather_seconds: float = GATHER_SECONDS
    cached: dict[str, T] = field(default_factory=dict, init=False)
    # Called with key and value for each change seen, by whichever gateway (None: deleted).
    listeners: list[Callable[[str, T | None], None]] = field(default_factory=list, init=False)
    _revisions: dict[str, int] = field(default_factory=dict, init=False)
    # Not a dict, which looks through the places of all that were taken from its front.
    _recent: OrderedDict[str, tuple[bytes, T]] = field(default_factory=OrderedDict, init=False)
    # Values that were seen last, with their revisions, and when (monotonic): to change one of them needs no reading.
    _seen: OrderedDict[str, tuple[T, int, float]] = field(default_factory=OrderedDict, init=False)
    _watch: asyncio.Task[None] | None = field(default=None, init=False)
    # By key, what waits to be written, and what writes it.
    _changes: "dict[str, list[_Change[T]]]" = field(default_factory=dict, init=False)
    _writers: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)

    async def start(self) -> None:
        """Read all records, and follow their changes from then on."""
        ready = asyncio.Event()
        self._seen.clear()  # what was written before is told of again
        with filling_memory():
            self._watch = asyncio.create_task(self.bucket.watch(self._changed, ready))
            await ready.wait()

    async def stop(self) -> None:
        """End the watch, and what is being written; who waits for a change is told Unavailable."""
        writers = dict(self._writers)
        await cancel_and_wait(*writers.values())
        for key, writer in writers.items():
            if self._writers.get(key) is writer:  # it had not begun
                self._end_writing(key)
        if self._watch is not None:
            await cancel_and_wait(self._watch)

    async def get(self, key: str) -> T | None:
        """Return the value as the store has it, or None."""
        found = await self._read(key)
        return found[0] if found else None

    def seen(self, key: str, max_age_seconds: float = math.inf) -> T | None:
        """Return the value as it was seen last, within that time, which others may have changed since; None where that
        is not known any more."""
        value, _, seen_at = self._seen.get(key, UNSEEN)
        return value if time.monotonic() - seen_at <= max_age_seconds else None

    async def create(self, key: str, value: T) -> None:
        """Write a new record; on return it is on disk. Raise Aborted if the key exists."""
        self.note(key, value, await self.bucket.create(self.prefix + key, self._stored_form(value)))

    async def put(self, key: str, value: T) -> None:
        """Write the record, whatever it was."""
        self.note(key, value, await self.bucket.put(self.prefix + key, self._stored_form(value)))

    async def update(self, key: str, step: Callable[[T], T], default: T | None = None) -> T:
        """Apply a pure step to the value as it is now, again when another writer was faster; return the new value.

        A missing record begins with `default`; without one raise NotFound. Raise Aborted when others always win. Steps
        that come while the record is being written are written together.
        """
        change = _Change(step, default)
        self._changes.setdefault(key, []).append(change)
        if key not in self._writers:
            # Without the caller of whoever comes first: others' steps are done in it too.
            writer = asyncio.create_task(self._write_changes(key), context=contextvars.Context())
            self._writers[key] = writer
        return await change.done

    async def _write_changes(self, key: str) -> None:
        """Write what waits for a record, until nothing does. In a task of its own: none that waits can end it."""
        changes: list[_Change[T]] = []
        try:
            while changes := [change for change in self._changes.pop(key, []) if not change.done.done()]:
                try:
                    await self._apply(key, changes)
                except Exception as error:
                    for change in changes:
                        change.fail(error)
                if self._stored_bytes(key) >= GATHER_BYTES:
                    await asyncio.sleep(self.gather_seconds)
        finally:
            self._end_writing(key, changes)

    def _stored_bytes(self, key: str) -> int:
        """Return how long a record was when it was written or read last; 0 where that is not known."""
        data, _ = self._recent.get(key, (b"", None))
        return len(data)

    def _end_writing(self, key: str, changes: "Sequence[_Change[T]]" = ()) -> None:
        """Let no change wait for a writer that has ended before it: this gateway ends."""
        del self._writers[key]
        for change in (*changes, *self._changes.pop(key, ())):
            change.fail(Unavailable(f"The gateway ends; the {self.noun} {key} may not have been changed."))

    async def _apply(self, key: str, changes: "Sequence[_Change[T]]") -> None:
        is_written = await self._apply_to_seen(key, changes)
        if is_written:
            return
        for attempt in range(1 if is_written is None else 2, self.max_update_attempts + 1):
            found = await self._read(key)
            value, revision = found or (None, 0)
            value = self._changed_value(key, value, changes)
            if value is None or (found and value == found[0]):
                if value is not None:
                    self.note(key, value, revision)
                break
            with contextlib.suppress(Aborted):
                await (self._replace(key, value, revision) if found else self.create(key, value))
                break
            await asyncio.sleep(UPDATE_BACKOFF.pause_seconds(attempt))
        else:
            raise Aborted(f"The {self.noun} {key} is changing too fast; try again.", reason="CHANGED_MEANWHILE")
        for change in changes:
            change.end()

    async def _apply_to_seen(self, key: str, changes: "Sequence[_Change[T]]") -> bool | None:
        """Write the changes of the value as it was seen last, unread; return False where that is not what the store
        has, None where it is not known. Where a step refuses it or changes nothing, it takes a look at the store, too.
        """
        known, revision, _ = self._seen.get(key, UNSEEN)
        if known is None:
            return None
        value = self._changed_value(key, known, changes)
        if value is None or value == known or any(isinstance(change.outcome, Exception) for change in changes):
            return None
        try:
            await self._replace(key, value, revision)
        except Aborted:
            return False
        for change in changes:
            change.end()
        return True

    def _changed_value(self, key: str, value: T | None, changes: "Sequence[_Change[T]]") -> T | None:
        for change in (change for change in changes if not change.done.done()):
            value = change.applied(value, lambda: self.not_found(key))
        return value

    async def delete(self, key: str) -> None:
        """Delete the record; listeners of other gateways are not told."""
        await self.bucket.delete(self.prefix + key)
        self._forget(key)

    async def keys(self) -> list[str]:
        """Return the keys of all records in the store."""
        keys = await self.bucket.keys()
        return [key.removeprefix(self.prefix) for key in keys if key.startswith(self.prefix)]

    async def current_keys(self) -> list[str]:
        """Return the keys of all records, also where there are more than the store lists; forget those that are gone,
        as no watch tells of a deletion."""
        known, listed = list(self._revisions), await self.bucket.keys()
        found = {key.removeprefix(self.prefix) for key in listed if key.startswith(self.prefix)}
        if len(listed) >= MAX_KEYS:
            return list(found.union(known))
        for key in known:
            if key not in found:
                self._forget(key)
        return list(found)

    def not_found(self, key: str) -> NotFound:
        """Return the error of a missing record."""
        text = self.missing.format(noun=self.noun, key=key)
        return NotFound(text, reason=f"{self.noun.upper()}_NOT_FOUND")

    def is_for_later(self, value: T) -> bool:
        """Return True for a value that gateways of before would write without what they do not know: it is stored
        compressed, and what is compressed they leave alone."""
        return False

    def _stored_form(self, value: T) -> bytes:
        data = to_json(value)
        return zlib.compress(data, 1) if len(data) >= MIN_PACKED_BYTES or self.is_for_later(value) else data

    async def _read(self, key: str) -> tuple[T, int] | None:
        entry = await self.bucket.get(self.prefix + key)
        if entry is None:
            self._forget(key)
            return None
        try:
            return self._parse(key, entry.value), entry.revision
        except (ValueError, zlib.error) as error:
            text = f"This version cannot read the record of {self.noun} {key}; ask a gateway of a later one."
            raise UnreadableRecord(text, reason=f"{self.noun.upper()}_UNREADABLE") from error

    async def _replace(self, key: str, value: T, revision: int) -> None:
        data = self._stored_form(value)
        self._keep(key, data, value)  # before the watch tells of it
        self.note(key, value, await self.bucket.update(self.prefix + key, data, revision))

    def _parse(self, key: str, data: bytes) -> T:
        """Return the value of a record. Raise ValueError."""
        known, value = self._recent.get(key, (None, None))
        if value is None or known != data:
            value = from_json(self.kind, zlib.decompress(data) if data[:1] == PACKED else data)
            self._keep(key, data, value)
        return value

    def _keep(self, key: str, data: bytes, value: T) -> None:
        _put_last(self._recent, key, (data, value))

    def _changed(self, key: str, data: bytes | None, revision: int) -> None:
        if not key.startswith(self.prefix):
            return
        key = key.removeprefix(self.prefix)
        if data is None:
            self._forget(key)
            return
        if not self._is_news(key, revision):
            return
        try:
            self.note(key, self._parse(key, data), revision)
        except (ValueError, zlib.error):
            log.exception("cannot read a record; it is left alone", kind=self.noun, key=key)

    def note(self, key: str, value: T, revision: int) -> None:
        """Take in the value at a revision, unless a newer one is known."""
        if not self._is_news(key, revision):
            return
        _put_last(self._seen, key, (value, revision, time.monotonic()))
        if self._watch is not None:  # else nobody would tell which of them are gone
            self._revisions[key] = revision
            if self.keeps_values:
                self.cached[key] = value
        for listener in self.listeners:
            listener(key, value)

    def _is_news(self, key: str, revision: int) -> bool:
        known = self._revisions.get(key)
        if known is None:
            _, known, _ = self._seen.get(key, UNSEEN)
        return revision > known or (revision == known and self.repeats)

    def _forget(self, key: str) -> None:
        self._recent.pop(key, None)
        seen = self._seen.pop(key, None)
        if self._revisions.pop(key, None) is not None or seen is not None:
            self.cached.pop(key, None)
            for listener in self.listeners:
                listener(key, None)


def _put_last(entries: "OrderedDict[str, V]", key: str, entry: V) -> None:
    """Put an entry at the end; of more than MAX_RECENT the first one goes."""
    entries.pop(key, None)
    entries[key] = entry
    if len(entries) > MAX_RECENT:
        entries.popitem(last=False)

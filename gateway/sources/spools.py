"""Spools: sources that cannot be read in parts, kept for the jobs whose tasks each need a part, as they come.

A film is planned by its head while the rest is on its way, and each of its pieces gets its range once that has come.
One download serves all tasks of a job, here: another gateway that takes some of them downloads it once more. What is
kept lies in a file without a name, gone with its process, and at the latest with its job.
"""

import asyncio
import contextlib
import functools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import structlog

from gateway.sources.guard import OriginBusy
from gateway.sources.opened import Chunks, Source
from gateway.sources.outline import MIN_BYTES
from servicekit.chunks import CHUNK_BYTES
from servicekit.disk import DiskFloor
from servicekit.errors import Aborted, ServiceError, Unavailable
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.sources")

# Tasks that wait for what has not come of one source: others come again, about when theirs will have.
MAX_WAITING = 8
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 30.0
# Each has a file open. What they leave free of the disk is more than uploads do: what can be fetched anew keeps nobody
# from storing files.
MAX_SPOOLS = 64
FLOOR_SHARE = 2.0


class StillComing(OriginBusy):
    """Much of a source has not come yet, and enough tasks wait for it: ask again after `retry_seconds`."""


@dataclass(eq=False)
class Spool:
    """A download that is kept as it comes, for any number of readers. `download` has what it reads from, and is closed
    at its end."""

    source: Source
    file: IO[bytes]
    download: contextlib.AsyncExitStack
    floor: DiskFloor | None = None
    come_bytes: int = field(default=0, init=False)
    is_whole: bool = field(default=False, init=False)
    error: ServiceError | None = field(default=None, init=False)
    readers: int = field(default=0, init=False)
    read_at: float = field(default_factory=time.monotonic, init=False)
    _waiting: int = field(default=0, init=False)
    _began_at: float = field(default_factory=time.monotonic, init=False)
    _grown: asyncio.Condition = field(default_factory=asyncio.Condition, init=False)
    _task: "asyncio.Task[None] | None" = field(default=None, init=False)
    _is_closed: bool = field(default=False, init=False)

    def start(self) -> None:
        """Begin to keep what comes."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the download, and whoever waits for it; what was kept goes with its last reader."""
        if self._task is not None:
            await cancel_and_wait(self._task)
        self._is_closed = True
        await self._close_file()

    async def _close_file(self) -> None:
        """Close the file where nobody reads it, nor will; on a thread, as the system takes a while to free a large
        one."""
        if (self._is_closed or self.is_over) and not self.readers:
            with contextlib.suppress(OSError):  # what did not fit is tried once more
                await asyncio.to_thread(self.file.close)

    @property
    def is_over(self) -> bool:
        """True where no more comes, and not all has."""
        return self.error is not None

    @property
    def size_bytes(self) -> int | None:
        """The bytes of the source; None as long as they are not known."""
        return self.come_bytes if self.is_whole else self.source.size_bytes

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Source]:
        """Open it, as what was downloaded was: from its beginning, or in parts, which come as they arrive. Of a source
        that does not tell its size it is known once all has come."""
        self.readers += 1
        try:
            chunks = functools.partial(self._read, 0, None)
            yield replace(self.source, size_bytes=self.size_bytes, chunks=chunks, part=self._part)
        finally:
            self.readers -= 1
            self.read_at = time.monotonic()
            await self._close_file()

    async def until(self, end: int) -> None:
        """Wait until all before `end` has come. Raises StillComing where many wait already, and what ended the
        download."""
        if not self._has(end) and self._waiting >= MAX_WAITING:
            text = "Much of the input is on its way still; the task waits its turn."
            raise StillComing(text, reason="ORIGIN_BUSY", retry_seconds=self._expected_seconds(end))
        self._waiting += 1
        try:
            await self._until(end)
        finally:
            self._waiting -= 1

    def _expected_seconds(self, end: int) -> float:
        """Return when it may be worth asking again for what is before `end`, by how fast it came so far."""
        seconds = (end - self.come_bytes) / max(self.come_bytes, 1) * (time.monotonic() - self._began_at)
        return min(max(seconds, MIN_PAUSE_SECONDS), MAX_PAUSE_SECONDS)

    def _has(self, end: int) -> bool:
        return self.is_whole or self.is_over or end <= self.come_bytes

    async def _until(self, end: int) -> None:
        if not self._has(end):
            async with self._grown:
                await self._grown.wait_for(lambda: self._has(end))
        if (error := self.error) is not None and self.come_bytes < end:
            # An error that is raised twice would have the traces of both.
            raise type(error)(
                error.message,
                reason=error.reason,
                fields=error.fields,
                metadata=error.metadata,
                retry_seconds=error.retry_seconds,
            )

    async def _read(self, start: int, end: int | None) -> AsyncIterator[bytes]:
        while end is None or start < end:
            wanted = start + CHUNK_BYTES if end is None else min(start + CHUNK_BYTES, end)
            await self._until(wanted)
            data = await asyncio.to_thread(os.pread, self.file.fileno(), wanted - start, start)
            if not data:
                if end is not None:
                    raise Unavailable("its server sent less of it than it told; try again", reason="FETCH_FAILED")
                return
            start += len(data)
            yield data

    @asynccontextmanager
    async def _part(self, start: int, end: int) -> AsyncIterator[Chunks]:
        yield lambda: self._read(start, end)

    async def _keep(self) -> None:
        error: ServiceError = Aborted("What was fetched of an input was let go of; it is fetched anew where needed.")
        try:
            async with self.download:
                async for data in self.source.chunks():
                    await self._write(data)
                    await self._grow(self.come_bytes + len(data))
            await self._end(None)
        except ServiceError as failed:
            error = failed
        except Exception:
            log.exception("cannot keep a source")
            error = Unavailable("An input could not be kept while it was fetched; try again.", reason="FETCH_FAILED")
        finally:
            if not self.is_whole:
                await self._end(error)
                await self._close_file()

    async def _write(self, data: bytes) -> None:
        if self.floor is not None:
            self.floor.check(len(data), share=FLOOR_SHARE)
        with self.floor.full_disk_errors() if self.floor else contextlib.nullcontext():
            await asyncio.to_thread(self._append, data)

    def _append(self, data: bytes) -> None:
        self.file.write(data)
        self.file.flush()

    async def _grow(self, come_bytes: int) -> None:
        async with self._grown:
            self.come_bytes = come_bytes
            self._grown.notify_all()

    async def _end(self, error: ServiceError | None) -> None:
        async with self._grown:
            self.error, self.is_whole = error, error is None
            self._grown.notify_all()


@dataclass(eq=False)
class Spools:
    """The spools of this gateway, by job and source: no job reads what was fetched for another. They lie in `folder`,
    on a disk of which the `floor` stays free. Nothing is kept for a job that is not `is_open`; `end` is called when one
    that is ends."""

    folder: Path
    floor: DiskFloor | None = None
    is_open: Callable[[str], bool] = lambda _: True
    _spools: dict[tuple[str, str], Spool] = field(default_factory=dict, init=False)
    _closing: set["asyncio.Task[None]"] = field(default_factory=set, init=False)

    def find(self, job_id: str, source: str) -> Spool | None:
        """Return what is kept of a source for a job, or on its way."""
        spool = self._spools.get((job_id, source))
        return None if spool is None or spool.is_over else spool

    async def begin(self, job_id: str, text: str, source: Source, download: contextlib.AsyncExitStack) -> Spool | None:
        """Begin to keep a source that was opened for a job; `download` closes it. Return None for what can be read in
        parts by a version that tells when it has changed, is small, or has no room."""
        is_small = source.size_bytes is not None and source.size_bytes < MIN_BYTES
        if is_small or (source.part is not None and source.version) or not self.is_open(job_id):
            return None
        if (known := self.find(job_id, text)) is not None:  # begun by another task meanwhile
            return known
        if not await self._make_room(source.size_bytes or CHUNK_BYTES):
            return None
        # Meanwhile another task may have begun it, or the job ended.
        if (known := self.find(job_id, text)) is not None or not self.is_open(job_id):
            return known
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - the spool closes it
        except OSError as error:
            log.warning("cannot keep a source", error=str(error))
            return None
        spool = self._spools[job_id, text] = Spool(source, file, download.pop_all(), self.floor)
        spool.start()
        return spool

    def end(self, job_id: str) -> None:
        """Let go of what is kept for a job, which has ended."""
        self._let_go([key for key in self._spools if key[0] == job_id])

    async def aclose(self) -> None:
        """End all."""
        self._let_go(list(self._spools))
        await asyncio.gather(*self._closing)

    async def _make_room(self, size_bytes: int) -> bool:
        """Return True where there is room for so many bytes, once what nobody reads at present is let go of, as far as
        need be, what was read last at the end: it is fetched anew should it be needed."""
        self._let_go([key for key, spool in self._spools.items() if spool.is_over])
        unread = [key for key, spool in self._spools.items() if not spool.readers]
        unread.sort(key=lambda key: self._spools[key].read_at)
        for count in range(len(unread) + 1):
            if self._has_room(size_bytes, unread[:count]):
                self._let_go(unread[:count])
                if self._closing:
                    await asyncio.wait(self._closing)
                return True
        return False

    def _has_room(self, size_bytes: int, without: Sequence[tuple[str, str]]) -> bool:
        """Return True where there would be room for so many bytes beside what is still to come of the others, if some
        of these were let go of."""
        kept = [spool for key, spool in self._spools.items() if key not in without]
        if self.floor is None or len(kept) >= MAX_SPOOLS:
            return len(kept) < MAX_SPOOLS
        freed_bytes = sum(self._spools[key].come_bytes for key in without)
        to_come_bytes = sum(max((spool.source.size_bytes or 0) - spool.come_bytes, 0) for spool in kept)
        free_bytes = self.floor.free_bytes + freed_bytes - to_come_bytes - size_bytes
        return free_bytes >= self.floor.floor_bytes * FLOOR_SHARE

    def _let_go(self, keys: list[tuple[str, str]]) -> None:
        for key in keys:
            task = asyncio.create_task(self._spools.pop(key).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

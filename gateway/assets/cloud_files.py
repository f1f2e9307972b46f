"""Objects in a cloud, written and read through obstore.

obstore holds a part of an object in memory until it is whole and sent: of a client that sends slowly some MiB, for as
long as it likes. So a writer lets a part wait in a file, and takes turns to send it. Once a part has come fast, a few
writers at a time may hand on bytes as they come; one whose next part is slow makes place for others.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.store import ObjectStore

from gateway.assets.local_files import on_thread
from servicekit.chunks import CHUNK_BYTES, Data
from servicekit.tasks import cancel_and_wait, run_to_completion

if TYPE_CHECKING:
    from obstore import AsyncWritableFile

T = TypeVar("T")

# Each costs tens of milliseconds, and S3 takes at most 10,000 parts of at least 5 MiB.
PART_BYTES = 16 * CHUNK_BYTES
# So many writers hand on bytes as they come, and have several parts under way at once.
DIRECT_WRITERS, CONCURRENT_PARTS = 2, 3
# A part that has come within that is fast.
FAST_SECONDS = 4.0
# So many of the others send a part at the same time.
TURNS = 4
# Less than this waits in memory.
MEMORY_BYTES = 64 * 1024


@dataclass(eq=False)
class WriterRoom:
    """What all writers of a bucket may hold in memory. Parts wait in files without a name in `folder` (None: where the
    system has such files), which are gone with their process."""

    folder: Path | None = None
    direct_left: int = DIRECT_WRITERS
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TURNS))
    clock: Callable[[], float] = time.monotonic

    def take_direct(self) -> bool:
        """Take the place of a writer that hands on bytes as they come; False where none is left."""
        is_left = self.direct_left > 0
        self.direct_left -= is_left
        return is_left

    def staged_part(self) -> "StagedPart":
        """Return one that has no bytes yet. Raises OSError."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        folder = str(self.folder) if self.folder else None
        return StagedPart(tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, dir=folder))


@dataclass(eq=False)
class StagedPart:
    """Bytes that wait until a part is whole. Its methods block; one of them runs at a time."""

    file: "tempfile.SpooledTemporaryFile[bytes]"
    size_bytes: int = 0

    def add(self, data: Data) -> None:
        """Append bytes."""
        self.file.write(data)
        self.size_bytes += len(data)

    def rewind(self) -> None:
        """Go to the first byte."""
        self.file.seek(0)

    def clear(self) -> None:
        """Forget all bytes."""
        self.file.seek(0)
        self.file.truncate()
        self.size_bytes = 0


class CloudWriter:
    """Implements ObjectWriter with a writer of obstore, which leaves nothing once it is dropped."""

    def __init__(self, open_file: Callable[[int], "AsyncWritableFile"], room: WriterRoom) -> None:
        """Write to what `open_file` opens, given how many parts may be under way at once."""
        self._open_file = open_file
        self._room = room
        self._file: AsyncWritableFile | None = None
        self._is_direct = False
        self._staged: StagedPart | None = None
        self._sent_bytes = 0
        # When the first bytes of the part came that is not whole yet.
        self._part_began_at = room.clock()
        self._last: asyncio.Future[None] | None = None
        self._is_over = False

    async def write(self, data: Data, beside: Callable[[Data], None] | None = None) -> None:
        """Begin to append bytes, which go to `beside` meanwhile, once those before are with obstore or wait."""
        await self.flush()
        self._last = asyncio.ensure_future(self._append(data, beside))

    async def flush(self) -> None:
        """Wait until all bytes are with obstore, or wait for their part to be whole."""
        if self._last is not None:
            try:
                await asyncio.shield(self._last)
            except Exception:
                await self.abandon()
                raise

    async def close(self) -> None:
        """Make the object of what was written."""
        await self.flush()
        try:
            self._check_open()
            if self._is_direct:
                await self._opened().close()
            else:
                async with self._room.turns:
                    await self._send()
                    await self._opened().close()
        finally:
            self._end()

    async def abandon(self) -> None:
        """Drop the writer."""
        if self._last is not None:
            await cancel_and_wait(self._last)
        self._end()

    def _check_open(self) -> None:
        if self._is_over:
            raise OSError("the object is written no more")

    def _opened(self) -> "AsyncWritableFile":
        if self._file is None:
            self._file = self._open_file(CONCURRENT_PARTS if self._is_direct else 1)
        return self._file

    def _end(self) -> None:
        self._is_over, self._file = True, None
        self._drop_staged()
        self._leave_place()

    def _drop_staged(self) -> None:
        if self._staged is not None:
            self._staged.file.close()
            self._staged = None

    def _leave_place(self) -> None:
        if self._is_direct:
            self._is_direct = False
            self._room.direct_left += 1

    async def _append(self, data: Data, beside: Callable[[Data], None] | None) -> None:
        self._check_open()
        if self._is_direct:
            until_part, writing = self._until_part(), self._opened().write(data)
            if beside is not None:
                await on_thread(lambda: beside(data))
            await writing
            self._sent_bytes += len(data)
            if len(data) >= until_part and not self._part_was_fast():
                self._leave_place()
            return
        if self._staged is None:
            self._staged = self._room.staged_part()
        staged = self._staged
        await _in_whole(lambda: _add(staged, data, beside))
        # Only when more has come does obstore say that a part is sent: by taking of that.
        if staged.size_bytes > self._until_part():
            if self._part_was_fast():
                self._is_direct = self._room.take_direct()
            async with self._room.turns:
                await self._send()

    def _part_was_fast(self) -> bool:
        """Return True if the part that is whole now has come fast; the next one begins."""
        began_at, self._part_began_at = self._part_began_at, self._room.clock()
        return self._part_began_at - began_at <= FAST_SECONDS

    async def _send(self) -> None:
        """Hand on what waits: what is after the end of a part once that is sent."""
        file, staged = self._opened(), self._staged
        if staged is None:
            return
        left_bytes = staged.size_bytes
        await _in_whole(staged.rewind)
        while left_bytes:
            most_bytes = min(CHUNK_BYTES, left_bytes, self._until_part())
            data = await _in_whole(lambda: staged.file.read(most_bytes))  # noqa: B023  # awaited within the round
            await file.write(data)
            self._sent_bytes += len(data)
            left_bytes -= len(data)
        await _in_whole(staged.clear)
        if self._is_direct:
            self._drop_staged()

    def _until_part(self) -> int:
        """Return how many bytes are missing to a whole part."""
        return PART_BYTES - self._sent_bytes % PART_BYTES


async def _in_whole(step: Callable[[], T]) -> T:
    """Run a step on a thread; whoever is cancelled meanwhile learns of it afterwards, when the file can be closed."""
    return await run_to_completion(on_thread(step))


def _add(staged: StagedPart, data: Data, beside: Callable[[Data], None] | None) -> None:
    staged.add(data)
    if beside is not None:
        beside(data)


class CloudReader:
    """Implements ObjectReader by requests for ranges: obstore's stream took ten times the processor time."""

    def __init__(self, store: ObjectStore, path: str, chunk_bytes: int) -> None:
        self._store = store
        self._path = path
        self._chunk_bytes = chunk_bytes
        self._last: asyncio.Future[list[bytes]] | None = None

    def begin(self, start: int, end: int) -> "asyncio.Future[list[bytes]]":
        """Begin to read the bytes `start` to `end`."""
        self._last = asyncio.ensure_future(self._read(start, end))
        return self._last

    async def close(self) -> None:
        """Cancel what is under way."""
        if self._last is not None:
            await cancel_and_wait(self._last)

    async def _read(self, start: int, end: int) -> list[bytes]:
        found = memoryview(await obstore.get_range_async(self._store, self._path, start=start, end=end))
        offsets = range(0, len(found), self._chunk_bytes)
        return [bytes(found[offset : offset + self._chunk_bytes]) for offset in offsets]

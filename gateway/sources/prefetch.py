"""The beginnings of downloads, fetched before an encoder is needed: small inputs wholly, of large ones a first part.

What is held is bounded in all, in memory and then in files without a name, which are gone with their process.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.sources import Source, Sources, urls
from servicekit.chunks import CHUNK_BYTES
from servicekit.disk import MIB, DiskFloor
from servicekit.errors import InvalidArgument

# An input of so many bytes, known or found out, is fetched wholly; of a larger one a first part.
MAX_SMALL_BYTES = 16 * MIB
FIRST_PART_BYTES = MIB
# What all that are held may have together, and one in memory.
MAX_HELD_BYTES = 256 * MIB
MAX_MEMORY_BYTES = MIB
# A server that had to wait for so long may have given up: what is not wholly fetched is fetched anew.
STALE_SECONDS = 20.0


@dataclass(eq=False)
class PrefetchedSource:
    """What was fetched of a source, and its download, unless that is at its end."""

    source: Source
    open_anew: Callable[[], AbstractAsyncContextManager[Source]]
    file: "tempfile.SpooledTemporaryFile[bytes]"
    rest: AsyncIterator[bytes] | None
    size_bytes: int
    fetched_at: float = field(default_factory=time.monotonic)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Source]:
        """Open it, as Sources.open does."""
        if self.rest is not None and time.monotonic() - self.fetched_at > STALE_SECONDS:
            async with self.open_anew() as anew:
                yield anew
            return
        is_whole = self.rest is None and not self.source.holes
        yield replace(
            self.source, size_bytes=self.size_bytes if is_whole else self.source.size_bytes, chunks=self._chunks
        )

    async def _chunks(self) -> AsyncIterator[bytes]:
        self.file.seek(0)
        while data := await self._read():
            yield data
        if self.rest is not None:
            async for data in self.rest:
                yield data

    async def _read(self) -> bytes:
        if self.size_bytes <= MAX_MEMORY_BYTES:
            return self.file.read(CHUNK_BYTES)
        return await asyncio.to_thread(self.file.read, CHUNK_BYTES)


@dataclass(eq=False)
class Prefetcher:
    """Fetches the beginnings of sources. `folder` is where what does not stay in memory lies, `floor` that of its
    disk: what has no room is left to be fetched later."""

    sources: Sources
    folder: Path
    floor: DiskFloor | None = None
    max_held_bytes: int = MAX_HELD_BYTES
    max_small_bytes: int = MAX_SMALL_BYTES
    held_bytes: int = field(default=0, init=False)

    def is_remote(self, text: str) -> bool:
        """Return True for a source that must be downloaded."""
        try:
            return self.sources.asset_id(text) is None
        except InvalidArgument:
            return False

    def host(self, text: str) -> str:
        """Return host and port of a source that is remote. Raises InvalidArgument."""
        return urls.parse(text).netloc.decode("ascii")

    async def fetch(
        self, opened: Callable[[], AbstractAsyncContextManager[Source]], stack: contextlib.AsyncExitStack
    ) -> PrefetchedSource:
        """Fetch the beginning of a source that `opened` opens, which the stack lets go of. Raises what Sources.open and
        its chunks do."""
        async with contextlib.AsyncExitStack() as download:
            source = await download.enter_async_context(opened())
            file = stack.enter_context(self._file())
            rest, size_bytes = source.chunks(), 0
            is_small = source.sent_bytes is None or source.sent_bytes <= self.max_small_bytes
            most_bytes = self.max_small_bytes if is_small else FIRST_PART_BYTES
            while size_bytes < most_bytes and self._has_room(size_bytes):
                data = await anext(rest, None)
                if data is None:
                    return PrefetchedSource(source, opened, file, None, size_bytes)
                stack.callback(self._let_go, len(data))
                self.held_bytes += len(data)
                size_bytes += len(data)
                await self._write(file, data, size_bytes)
            stack.push_async_callback(download.pop_all().aclose)
            return PrefetchedSource(source, opened, file, rest, size_bytes)

    async def _write(self, file: "tempfile.SpooledTemporaryFile[bytes]", data: bytes, size_bytes: int) -> None:
        if size_bytes <= MAX_MEMORY_BYTES:
            file.write(data)
            return
        with self.floor.full_disk_errors() if self.floor else contextlib.nullcontext():
            await asyncio.to_thread(file.write, data)

    def _file(self) -> "tempfile.SpooledTemporaryFile[bytes]":
        self.folder.mkdir(parents=True, exist_ok=True)
        return tempfile.SpooledTemporaryFile(max_size=MAX_MEMORY_BYTES, dir=str(self.folder))

    def _has_room(self, size_bytes: int) -> bool:
        if self.held_bytes + CHUNK_BYTES > self.max_held_bytes:
            return False
        return size_bytes < MAX_MEMORY_BYTES or self.floor is None or self.floor.has_room(size_bytes=CHUNK_BYTES)

    def _let_go(self, size_bytes: int) -> None:
        self.held_bytes -= size_bytes

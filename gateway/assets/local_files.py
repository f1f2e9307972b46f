"""Objects in a local folder, written and read by threads in whole chunks: through obstore each MiB took a third more
processor time, as its bytes went by way of a second runtime and one more copy.

What is written is staged in a file "<path>#1" beside the object, as obstore does it, and renamed once it is whole.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import TypeVar

from servicekit.chunks import Data
from servicekit.tasks import run_to_completion

T = TypeVar("T")

# A disk that stalls must not hold up what else runs on threads.
_THREADS = ThreadPoolExecutor(8, "files")


class LocalWriter:
    """Writes one object, which exists once `close` returned. Its methods raise OSError; one that failed, or was
    abandoned, leaves nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._is_over = False

    async def write(self, data: Data, beside: Callable[[Data], None] | None = None) -> None:
        """Append bytes on a thread, which hands them to `beside` too."""
        await self._run(lambda: self._write(data, beside))

    async def close(self) -> None:
        """Make the object of what was written."""
        await self._run(self._close)
        self._is_over = True

    async def abandon(self) -> None:
        """Leave nothing behind, unless the object exists."""
        if not self._is_over:
            self._is_over = True
            await in_thread(self._discard)

    async def _run(self, step: Callable[[], None]) -> None:
        if self._is_over:
            raise OSError(f"{self._path.name} is written no more")
        try:
            await in_thread(step)
        except OSError:
            await self.abandon()
            raise

    def _write(self, data: Data, beside: Callable[[Data], None] | None) -> None:
        write_all(self._opened(), data)
        if beside is not None:
            beside(data)

    def _opened(self) -> FileIO:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _staged(self._path)
        return self._file

    def _close(self) -> None:
        file = self._opened()
        file.close()
        os.replace(file.name, self._path)

    def _discard(self) -> None:
        if self._file is not None:
            self._file.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._file.name)


def _staged(path: Path) -> FileIO:
    """Open a new file beside the object."""
    number = 1
    while True:
        try:
            return FileIO(f"{path}#{number}", "xb")
        except FileExistsError:  # of another writer, or one that was killed
            number += 1


def write_all(file: FileIO, data: Data) -> None:
    """Write all of the bytes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


class LocalReader:
    """Reads ranges of one object. Close it, once no read is under way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self, start: int, end: int, chunk_bytes: int) -> list[bytes]:
        """Return the bytes `start` to `end` in chunks, the last one shorter, fewer where the file ends before. It
        blocks. Raises OSError."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        descriptor = self._descriptor
        offsets = range(start, end, chunk_bytes)
        return [os.pread(descriptor, min(chunk_bytes, end - offset), offset) for offset in offsets]

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


async def in_thread(step: Callable[[], T]) -> T:
    """Return the result of a step that blocks; whoever is cancelled meanwhile goes on once it has ended."""
    return await run_to_completion(asyncio.get_running_loop().run_in_executor(_THREADS, step))

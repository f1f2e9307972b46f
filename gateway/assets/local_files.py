"""Objects in a local folder, written and read by threads in whole chunks: through obstore each MiB took a third more
processor time, as its bytes went by way of a second runtime and one more copy.

What is written is staged in a file "<path>#1" beside the object, as obstore does it, and renamed once it is whole.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import TypeVar

from servicekit.chunks import CHUNK_BYTES, LEAST_BESIDE_BYTES, Data
from servicekit.tasks import run_to_completion

T = TypeVar("T")

# What comes in larger pieces than this is digested beside its writing: of smaller ones a second thread costs more than
# it gains.
WRITTEN_ALONE_BYTES = CHUNK_BYTES
# A disk that stalls must not hold up what else runs on threads.
_THREADS = ThreadPoolExecutor(8, "files")


def on_thread(step: Callable[[], T]) -> "asyncio.Future[T]":
    """Begin a step that blocks. Shield what is returned: the step goes on in any case."""
    return asyncio.get_running_loop().run_in_executor(_THREADS, step)


class LocalWriter:
    """Implements ObjectWriter. The first few bytes are held until there are more, or it is closed: a small file takes
    one turn of a thread."""

    def __init__(self, path: Path, held_bytes: int = LEAST_BESIDE_BYTES) -> None:
        """Write a new object; up to `held_bytes` are held."""
        self._path = path
        self._held_bytes = held_bytes
        self._file: FileIO | None = None
        self._last: Future[None] | None = None
        self._beside: Future[None] | None = None
        self._is_over = False
        self._held = bytearray()

    async def write(self, data: Data, beside: Callable[[Data], None] | None = None) -> None:
        """Begin to append bytes on a thread, once those before are written."""
        await self.flush()
        if self._last is None and len(self._held) + len(data) <= self._held_bytes:
            self._held += data
            if beside is not None:
                beside(data)
            return
        if beside is not None and len(data) > WRITTEN_ALONE_BYTES:
            self._beside, beside = _THREADS.submit(beside, data), None
        self._last = _THREADS.submit(self._write, data, beside)

    async def flush(self) -> None:
        """Wait until all bytes are written, or held."""
        if self._is_over:
            raise OSError(f"{self._path.name} is written no more")
        if self._beside is not None:
            await _done(self._beside)
            self._beside = None
        if self._last is not None:
            try:
                await _done(self._last)
            except OSError:
                await self.abandon()
                raise

    async def close(self, then: Callable[[], None] = lambda: None) -> None:
        """Make the object of what was written; do what comes `then` in the same turn of a thread, without which there
        is to be no object."""
        await self.flush()
        self._last = _THREADS.submit(self._close, then)
        await self.flush()
        self._is_over = True

    async def abandon(self) -> None:
        """Leave nothing behind, unless the object exists; the sweep deletes later what cannot be deleted now."""
        if not self._is_over:
            self._is_over = True
            await run_to_completion(asyncio.wrap_future(self._begin_discarding()))

    def _begin_discarding(self) -> "Future[None]":
        """Leave it to the thread that still writes, as the event loop may end, and its tasks with it, before that."""
        if self._last is None or self._last.done():
            return _THREADS.submit(self._discard)
        discarded: Future[None] = Future()

        def discard(_: "Future[None]") -> None:
            self._discard()
            discarded.set_result(None)

        self._last.add_done_callback(discard)
        return discarded

    def _write(self, data: Data, beside: Callable[[Data], None] | None) -> None:
        file = self._opened()
        _write_all(file, data)
        if beside is not None:
            beside(data)

    def _opened(self) -> FileIO:
        """Return the file, with what was held in it."""
        if self._file is None:
            self._file = _staged(self._path)
            held, self._held = self._held, bytearray()
            _write_all(self._file, held)
        return self._file

    def _close(self, then: Callable[[], None]) -> None:
        file = self._opened()
        file.close()
        os.replace(file.name, self._path)
        self._file = None  # its name may be another writer's from now on
        try:
            then()
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            raise

    def _discard(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                os.unlink(self._file.name)


async def _done(step: "Future[None]") -> None:
    """Wait for a step on a thread, which goes on if the waiting is cancelled. One that is done takes no turn of the
    event loop."""
    if not step.done():
        await asyncio.shield(asyncio.wrap_future(step))
    step.result()


def put_object(path: Path, data: bytes) -> None:
    """Write a small object, whatever it was. Blocks."""
    file = _staged(path)
    try:
        with file:
            _write_all(file, data)
        os.replace(file.name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(file.name)
        raise


def _write_all(file: FileIO, data: Data | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _staged(path: Path) -> FileIO:
    """Open a new file beside the object, in its folder, which is made where it is missing."""
    number = 1
    while True:
        try:
            return FileIO(f"{path}#{number}", "xb")
        except FileExistsError:  # of another writer, or one that was killed
            number += 1
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)


class LocalReader:
    """Implements ObjectReader."""

    def __init__(self, path: Path, chunk_bytes: int) -> None:
        self._path = path
        self._chunk_bytes = chunk_bytes
        self._descriptor: int | None = None
        self._last: asyncio.Future[list[bytes]] | None = None

    def begin(self, start: int, end: int) -> "asyncio.Future[list[bytes]]":
        """Begin to read the bytes `start` to `end`."""
        self._last = on_thread(lambda: self._read(start, end))
        return self._last

    async def close(self) -> None:
        """Let go of the file, once nothing reads of it."""
        if self._last is not None:
            await run_to_completion(asyncio.gather(self._last, return_exceptions=True))
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _read(self, start: int, end: int) -> list[bytes]:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        descriptor, offsets = self._descriptor, range(start, end, self._chunk_bytes)
        return [os.pread(descriptor, min(self._chunk_bytes, end - offset), offset) for offset in offsets]

"""Feeds: bytes made here that a child reads from a pipe, such as raw frames."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from encoder.ffmpeg.command import Spawn, Stdin, Writer

# The most that Linux grants without privilege: a frame of 1080p passes in three turns instead of fifty.
PIPE_BYTES = 1024 * 1024

Make = Callable[[], Iterator[bytes | memoryview]]


def wide_pipe() -> tuple[int, int]:
    """A pipe for frames: the end to read from, and the end to write to."""
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):  # over the user's share of pipe memory
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing


def fed(make: Make) -> Stdin:
    """Standard input that writes what `make` gives."""

    async def opened(_: Spawn) -> Writer:
        return PipeWriter(make)

    return opened


class PipeWriter:
    """A pipe whose `reading` end is for a child, once; what `make` gives is written to the other end by a thread.

    The thread ends when all is written, when the child closes its end or dies, or with `close`.
    """

    def __init__(self, make: Make) -> None:
        self.reading, self._writing = wide_pipe()
        self._make = make
        self._thread = ThreadPoolExecutor(1, "feed")
        self._done: asyncio.Future[bool] | None = None

    def start(self) -> None:
        """See Writer."""
        self._let_go_of_reading()
        self._done = asyncio.get_running_loop().run_in_executor(self._thread, self._write)

    async def finish(self) -> bool:
        """See Writer. Raises what making the bytes raised."""
        return await asyncio.shield(self._done) if self._done is not None else False

    async def close(self) -> None:
        """See Writer. A child that lives could hold the thread in a write."""
        self._let_go_of_reading()
        if self._done is None:
            os.close(self._writing)
        else:
            await asyncio.shield(asyncio.gather(self._done, return_exceptions=True))
        self._thread.shutdown(wait=False)

    def _let_go_of_reading(self) -> None:
        if self.reading >= 0:
            os.close(self.reading)
            self.reading = -1

    def _write(self) -> bool:
        try:
            for data in self._make():
                view = memoryview(data).cast("B")
                while view:
                    view = view[os.write(self._writing, view) :]
        except BrokenPipeError:
            return False  # why the child went away is told by its end
        finally:
            os.close(self._writing)
        return True

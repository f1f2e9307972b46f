"""Feeds: bytes made here that FFmpeg reads from its standard input, such as raw frames."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

# The most that Linux grants without privilege: a frame of 1080p passes in three turns instead of fifty.
PIPE_BYTES = 1024 * 1024


class Feed:
    """A pipe whose `reading` end is for a child, once; what `make` gives is written to the other end by a thread.

    The thread ends when all is written, when the child closes its end or dies, or with `close`.
    """

    def __init__(self, make: Callable[[], Iterator[bytes | memoryview]]) -> None:
        self.reading, self._writing = os.pipe()
        with contextlib.suppress(OSError):  # over the user's share of pipe memory
            fcntl.fcntl(self._writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._make = make
        self._thread = ThreadPoolExecutor(1, "feed")
        self._done: asyncio.Future[None] | None = None

    def start(self) -> None:
        """The child has its end: begin to write."""
        self._let_go_of_reading()
        self._done = asyncio.get_running_loop().run_in_executor(self._thread, self._write)

    async def finish(self) -> None:
        """Wait until all is written, or the child will take no more. Raises what making the bytes raised."""
        if self._done is not None:
            await asyncio.shield(self._done)

    async def close(self) -> None:
        """End the thread and the pipe. The child must be gone, or it could hold the thread in a write."""
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

    def _write(self) -> None:
        try:
            for data in self._make():
                view = memoryview(data).cast("B")
                while view:
                    view = view[os.write(self._writing, view) :]
        except BrokenPipeError:
            pass  # why the child went away is told by its end
        finally:
            os.close(self._writing)

"""Programs as children: how one is started, what is known of it while it runs, and what it writes."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from encoder.sandbox.sandboxes import ALLOCATOR
from servicekit.process import child_environment, kill_group, spawn


@dataclass(frozen=True)
class Child:
    """A program that runs: its return code once it has ended (negative for a signal), and what kills it and its
    process group."""

    ended: "asyncio.Future[int]"
    kill: Callable[[], None]


class Launch(Protocol):
    """Starts a program as a child of this process, or of one that ends with it."""

    async def __call__(
        self, command: Sequence[str], folder: Path, files: tuple[int, int, int], *, waits: bool = False
    ) -> Child:
        """Start a command line, as a sandbox wraps it, in a folder; `files` are the descriptors of its standard input,
        output and error, which it has copies of then. One that `waits` for what it is to do is no work yet. Raises
        OSError, Unavailable."""


class Output:
    """A pipe that a child writes to and that is read here: `writing` is the child's end, `reader` ours."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport, writing: int) -> None:
        self.reader = reader
        self.writing = writing
        self._transport = transport

    @classmethod
    async def open(cls) -> "Output":
        """Open a pipe."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        reading, writing = os.pipe()
        file = os.fdopen(reading, "rb", buffering=0)
        try:
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        except BaseException:  # a task that is canceled here, too
            os.close(writing)
            raise
        return cls(reader, transport, writing)

    def close_writing(self) -> None:
        """Close the child's end here: it has its own, or there is no child."""
        os.close(self.writing)

    def close(self) -> None:
        """Read no more."""
        self._transport.close()


async def spawn_child(
    command: Sequence[str], folder: Path, files: tuple[int, int, int], *, waits: bool = False
) -> Child:
    """Start a program by this process itself."""
    stdin, stdout, stderr = files
    environment = child_environment(**ALLOCATOR)
    process = await spawn(command, env=environment, cwd=folder, stdin=stdin, stdout=stdout, stderr=stderr)
    return Child(asyncio.ensure_future(process.wait()), lambda: kill_group(process))

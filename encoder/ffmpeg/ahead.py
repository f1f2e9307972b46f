"""An FFmpeg that is started ahead of its run: it is shut in where the run will be, its libraries are bound, and it
waits for the rest of its command line. To shut one in and to load it takes as long as it then takes for a short video.

It waits by a library of ours that is loaded before it (late_words.c), where there is one for this machine; a binary
that is not linked dynamically loads none.
"""

import asyncio
import contextlib
import io
import os
import platform
import struct
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from encoder.ffmpeg.children import Child, Output
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import LINE_BYTES, Ffmpeg, FfmpegProcess, OnStuck, open_output
from encoder.sandbox.sandboxes import SandboxAccess
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait, run_to_completion

log = structlog.get_logger("encoder")

LIBRARY = Path(__file__).resolve().with_name(f"late_words.{platform.machine()}.so")
# What it takes, a zero behind each word; and what it is told before them: how many bytes they are. A pipe holds as
# much, and one that holds less takes a part, which is of no use.
MAX_BYTES = 64 * 1024
LENGTH = struct.Struct("=I")
# What it writes to its standard output once it waits.
WAITS = b"\n"
TRIAL_SECONDS = 30.0
FAULT = "FFmpeg cannot be started ahead"


@dataclass(frozen=True)
class WaitingFfmpeg:
    """A process that waits for its command line, the pipes that it writes to, and our end of the one that it reads
    from: a pipe, as a socket would let it ask who is at the other end."""

    child: Child
    errors: Output
    progress: Output
    words: io.FileIO

    def become(self, run: FfmpegRun) -> FfmpegProcess | None:
        """Have it be a run; None where it is gone, or cannot be told the command line. It takes no other."""
        words = [os.fsencode(word) for word in run.arguments]
        data = b"".join(word + b"\0" for word in words)
        is_gone = self.words.closed or self.child.ended.done()
        if is_gone or len(data) > MAX_BYTES or any(b"\0" in word for word in words):
            return None
        message = LENGTH.pack(len(data)) + data
        with contextlib.suppress(OSError), self.words:
            if self.words.write(message) == len(message):
                return FfmpegProcess(self.child, run, None, self.errors, self.progress)
        return None

    async def kill(self, on_stuck: OnStuck) -> None:
        """Kill it."""
        self.words.close()
        await FfmpegProcess(self.child, NOTHING, None, self.errors, self.progress).kill(on_stuck)


NOTHING = FfmpegRun((), ())


class StartedAhead:
    """One that is being started for a task, of which the first run gets it that can be it."""

    def __init__(self, starting: "asyncio.Task[WaitingFfmpeg]") -> None:
        self._starting = starting
        self._is_taken = False

    async def waits(self) -> bool:
        """Return True once it waits, and sees its folder, which may be renamed then; False where it cannot."""
        try:
            await asyncio.shield(self._starting)
        except (OSError, ServiceError) as error:  # as that of the run may, which then tells it
            log.warning(FAULT, error=str(error))
            return False
        return True

    async def take(self, run: FfmpegRun) -> FfmpegProcess | None:
        """Have it be a run; None where it cannot, or was told one before. It must be killed by whoever has it."""
        if self._is_taken or run.stdin is not None or run.devices is not None or not await self.waits():
            return None
        process = self._starting.result().become(run)
        self._is_taken = process is not None
        return process

    async def close(self, on_stuck: OnStuck) -> None:
        """Kill it, where no run has taken it."""
        await cancel_and_wait(self._starting)
        if not (self._is_taken or self._starting.cancelled() or self._starting.exception()):
            await self._starting.result().kill(on_stuck)


@contextlib.asynccontextmanager
async def started_ahead(ffmpeg: Ffmpeg, access: SandboxAccess, on_stuck: OnStuck) -> AsyncIterator[StartedAhead]:
    """Start one in the first writable folder of `access`, beside the block, with which it ends unless a run has taken
    it."""
    ahead = StartedAhead(asyncio.create_task(_start(ffmpeg, access, on_stuck)))
    try:
        yield ahead
    finally:
        await run_to_completion(ahead.close(on_stuck))


async def works(ffmpeg: Ffmpeg) -> bool:
    """Return True where FFmpeg can be started ahead on this machine, which is tried."""
    if not ffmpeg.sandbox.preloads or not LIBRARY.is_file():
        return False
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with asyncio.timeout(TRIAL_SECONDS):
                async with started_ahead(ffmpeg, SandboxAccess((Path(folder),), ()), lambda _: None) as ahead:
                    return await _tells_version(ahead)
    except OSError as error:  # as where there is no folder for temporary files, or it takes too long
        log.warning(FAULT, error=repr(error))
        return False


async def _tells_version(ahead: StartedAhead) -> bool:
    process = await ahead.take(replace(NOTHING, arguments=("-version",)))
    if process is None:
        return False
    try:
        await process.finish()
    except ServiceError:
        return False
    finally:
        await process.kill()
    return True


async def _start(ffmpeg: Ffmpeg, access: SandboxAccess, on_stuck: OnStuck) -> WaitingFfmpeg:
    """Return one that waits. Raises OSError, Unavailable."""
    waiting = await _launch(ffmpeg, access)
    async with contextlib.AsyncExitStack() as on_failure:
        on_failure.push_async_callback(waiting.kill, on_stuck)
        if await waiting.progress.reader.read(1) != WAITS:
            text = (await waiting.errors.reader.read(LINE_BYTES)).decode(errors="replace").strip()
            raise ChildProcessError(f"it has ended before it waited: {text}")
        on_failure.pop_all()
    return waiting


async def _launch(ffmpeg: Ffmpeg, access: SandboxAccess) -> WaitingFfmpeg:
    command = ffmpeg.sandbox.wrap(ffmpeg.first_words(has_progress=True), access, LIBRARY)
    with contextlib.ExitStack() as opened, contextlib.ExitStack() as on_failure:
        errors = await open_output(opened, on_failure)
        progress = await open_output(opened, on_failure)
        reading, words = _words(opened, on_failure)
        files = (reading, progress.writing, errors.writing)
        child = await ffmpeg.launch(command, access.folder, files, waits=True)
        on_failure.pop_all()
    return WaitingFfmpeg(child, errors, progress, words)


def _words(opened: contextlib.ExitStack, on_failure: contextlib.ExitStack) -> tuple[int, io.FileIO]:
    reading, writing = os.pipe()
    opened.callback(os.close, reading)
    words = on_failure.enter_context(io.FileIO(writing, "w"))
    os.set_blocking(writing, False)
    return reading, words

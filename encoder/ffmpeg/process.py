"""FFmpeg as a child process, and the pipes that feed it: the only place that starts it. No child outlives its
`async with`, nor the encoder."""

import asyncio
import contextlib
import fcntl
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio_ffmpeg
import structlog

from apigpu.encoder.v1 import encoder_pb2
from encoder.ffmpeg import errors
from encoder.ffmpeg.children import Child, Launch, Output, spawn_child
from encoder.ffmpeg.command import FfmpegRun, Spawn, StdinWriter
from encoder.sandbox.sandboxes import Sandbox, SandboxAccess
from servicekit.process import kill_group, spawn

if TYPE_CHECKING:
    from encoder.ffmpeg.ahead import StartedAhead

log = structlog.get_logger("encoder")

QUIET = ("-hide_banner", "-nostdin", "-nostats", "-v", "error")
PROGRESS = ("-progress", "pipe:1", "-stats_period", "0.25")
# What it says with its last progress, in place of "continue".
LAST = b"end"
TAIL_LINES = 100
LINE_BYTES = 4096
LINE_END = re.compile(rb"[\r\n]+")
NO_ACCESS = SandboxAccess((), ())
# The most that Linux grants without privilege: a frame of 1080p passes in three turns instead of fifty.
PIPE_BYTES = 1024 * 1024

# A process that is not gone so long after it was killed hangs in the kernel.
KILL_SECONDS = 5.0

OnStuck = Callable[["asyncio.Future[int]"], None]
Generate = Callable[[], Iterator[bytes | memoryview]]


def bundled_binary() -> Path:
    """Return the FFmpeg that comes with the package imageio-ffmpeg."""
    return Path(imageio_ffmpeg.get_ffmpeg_exe())


class FfmpegProcess:
    """A running FFmpeg; its messages are read from its start on. Where its standard output is a pipe, read `progress`
    to its end, when all is written unless it failed, then `finish`."""

    def __init__(
        self, child: Child, run: FfmpegRun, writer: StdinWriter | None, errors: Output, progress: Output | None
    ) -> None:
        self._child = child
        self._run = run
        self._writer = writer
        self._errors = errors
        self._progress = progress
        self._messages: deque[str] = deque(maxlen=TAIL_LINES)
        self._reading = asyncio.create_task(self._read_messages())

    async def progress(self) -> AsyncIterator[encoder_pb2.EncodeProgress]:
        """Yield frames done and frames a second, a few times a second, until all is written."""
        assert self._progress is not None
        values: dict[bytes, bytes] = {}
        async for line in self._progress.reader:
            key, _, value = line.strip().partition(b"=")
            values[key] = value
            if key == b"progress":
                frames, fps = _number(values.get(b"frame")), _number(values.get(b"fps"))
                yield encoder_pb2.EncodeProgress(frames_done=int(frames), fps=fps)
                if value == LAST:  # it closed what it wrote, and takes some milliseconds to end
                    return

    async def finish(self) -> None:
        """Wait for its end. Raises ServiceError when it failed, or took a file that was cut off for whole."""
        if self._writer is not None:
            await self._writer.finish()
        code = await asyncio.shield(self._child.ended)
        await self._reading
        messages, run = list(self._messages), self._run
        cut_off = errors.cut_off(messages, run.cut_off_signs, run.fields)
        error = errors.ffmpeg_error(messages, code, run.fields) if code else cut_off
        if error is not None:
            log.warning("ffmpeg failed", return_code=code, messages=messages[-20:], arguments=run.arguments)
            raise error

    @property
    def code(self) -> int:
        """Its return code, once it has ended."""
        return self._child.ended.result()

    @property
    def messages(self) -> Sequence[str]:
        """What it said last, so far."""
        return tuple(self._messages)

    async def kill(self, on_stuck: OnStuck = lambda _: None) -> None:
        """Kill it, if it has not ended."""
        ended = self._child.ended
        if not ended.done():
            self._child.kill()
        self._reading.cancel()
        for output in filter(None, (self._errors, self._progress)):
            output.close()
        waiting: list[asyncio.Future[Any]] = [self._reading, ended]
        await asyncio.wait(waiting, timeout=KILL_SECONDS)
        if not ended.done():
            on_stuck(ended)

    async def _read_messages(self) -> None:
        rest = b""
        while data := await self._errors.reader.read(LINE_BYTES):
            # A message may come in several parts; of one that is too long the end counts.
            *lines, rest = LINE_END.split(rest + data)
            self._messages.extend(line.decode(errors="replace") for line in lines)
            rest = rest[-LINE_BYTES:]
        if rest:
            self._messages.append(rest.decode(errors="replace"))


@dataclass(frozen=True)
class Ffmpeg:
    """A binary, the sandbox that it runs in, and what starts it there."""

    binary: Path
    sandbox: Sandbox
    launch: Launch = spawn_child
    # True where one can be started ahead of its run.
    starts_ahead: bool = False

    @contextlib.asynccontextmanager
    async def start(
        self,
        run: FfmpegRun,
        access: SandboxAccess,
        on_stuck: OnStuck = lambda _: None,
        ahead: "StartedAhead | None" = None,
    ) -> AsyncIterator[FfmpegProcess]:
        """Start a run in the first writable folder of `access`, as the one that was started `ahead` there where that
        can do it; it is killed when the block is left before its end. One that does not go then is handed to
        `on_stuck`, by what is done once it has ended."""
        writer = run.stdin() if run.stdin is not None else None
        # What writes to a run is closed after the run was killed.
        async with contextlib.AsyncExitStack() as stack:
            if writer is not None:
                stack.push_async_callback(writer.close)
                await writer.open(partial(self._spawn, access))
            process = await ahead.take(run) if ahead is not None else None
            process = process or await self._spawn(access, run, asyncio.subprocess.PIPE, writer)
            stack.push_async_callback(process.kill, on_stuck)
            if writer is not None:
                writer.start()
            yield process

    async def _spawn(
        self, access: SandboxAccess, run: FfmpegRun, stdout: int, writer: StdinWriter | None = None
    ) -> FfmpegProcess:
        has_progress = stdout == asyncio.subprocess.PIPE
        words = [*self.first_words(has_progress=has_progress), *run.arguments]
        command = self.sandbox.wrap(words, replace(access, devices=run.devices))
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as on_failure:
            errors = await open_output(opened, on_failure)
            progress = await open_output(opened, on_failure) if has_progress else None
            stdin = writer.reading if writer is not None else _open_nothing(opened)
            files = (stdin, progress.writing if progress else stdout, errors.writing)
            child = await self.launch(command, access.writable[0], files)
            on_failure.pop_all()
        return FfmpegProcess(child, run, writer, errors, progress)

    def first_words(self, *, has_progress: bool) -> tuple[str, ...]:
        """Return the words that the command line of each run begins with."""
        return (str(self.binary), *QUIET, *(PROGRESS if has_progress else ()), "-y")

    async def query(self, arguments: Sequence[str], access: SandboxAccess = NO_ACCESS) -> tuple[int, str]:
        """Return the return code and output of a short run (`-version`, a tiny encode). Raises TimeoutError."""
        return await query(self.sandbox.wrap([str(self.binary), *arguments], access))


async def open_output(opened: contextlib.ExitStack, on_failure: contextlib.ExitStack) -> Output:
    """Open a pipe for a child, whose end is closed with `opened`, and ours with `on_failure`."""
    output = await Output.open()
    opened.callback(output.close_writing)
    on_failure.callback(output.close)
    return output


def _open_nothing(opened: contextlib.ExitStack) -> int:
    nothing = os.open(os.devnull, os.O_RDONLY)
    opened.callback(os.close, nothing)
    return nothing


async def query(command: Sequence[str], timeout_seconds: float = 30.0) -> tuple[int, str]:
    """Return the return code and output of a short command that needs no input. Raises TimeoutError, also where it
    hangs in the kernel, which nobody waits for."""
    pipe = asyncio.subprocess.PIPE
    process = await spawn(command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(timeout_seconds):
            out, err = await process.communicate()
    finally:
        kill_group(process)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_SECONDS):
                await process.wait()
    return process.returncode or 0, (out + err).decode(errors="replace")


def _number(value: bytes | None) -> float:
    try:
        return float(value or 0)
    except ValueError:  # FFmpeg writes N/A
        return 0.0


def wide_pipe() -> tuple[int, int]:
    """Open a pipe for frames; return the end to read from, and the end to write to."""
    reading, writing = os.pipe()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # over the user's share of pipe memory
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing


class ReadingEnd:
    """The end of a pipe that a child reads from."""

    reading = -1

    def close_reading(self) -> None:
        """Close it here: the child has its own, or there is none."""
        if self.reading >= 0:
            os.close(self.reading)
            self.reading = -1


class PipeWriter(ReadingEnd):
    """A StdinWriter: a thread writes what `generate` yields to a pipe.

    The thread ends when all is written, when the child closes its end or dies, or with `close`.
    """

    def __init__(self, generate: Generate) -> None:
        self._writing = -1
        self._generate = generate
        self._thread = ThreadPoolExecutor(1, "feed")
        self._done: asyncio.Future[None] | None = None

    async def open(self, _: Spawn) -> None:
        self.reading, self._writing = wide_pipe()

    def start(self) -> None:
        self.close_reading()
        self._done = asyncio.get_running_loop().run_in_executor(self._thread, self._write)

    async def finish(self) -> None:
        if self._done is not None:
            await asyncio.shield(self._done)

    async def close(self) -> None:
        # A child that lives could hold the thread in a write.
        self.close_reading()
        if self._done is None:
            os.close(self._writing)
        else:
            await asyncio.shield(asyncio.gather(self._done, return_exceptions=True))
        self._thread.shutdown(wait=False)

    def _write(self) -> None:
        try:
            # Why a child went away is told by its end.
            with contextlib.suppress(BrokenPipeError):
                for data in self._generate():
                    view = memoryview(data).cast("B")
                    while view:
                        view = view[os.write(self._writing, view) :]
        finally:
            os.close(self._writing)


@dataclass(frozen=True)
class PipedFrames:
    """Makes a PipeWriter of generated frames."""

    generate: Generate

    def __call__(self) -> StdinWriter:
        return PipeWriter(self.generate)

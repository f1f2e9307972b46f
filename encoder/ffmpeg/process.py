"""FFmpeg as a child process: the only place that starts it. No child outlives its `async with`, nor the encoder."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import imageio_ffmpeg
import structlog

from encoder.ffmpeg import errors
from encoder.ffmpeg.command import FfmpegRun, Writer
from encoder.sandbox.base import Sandbox, SandboxAccess
from servicekit.process import kill_group, spawn

log = structlog.get_logger("encoder")

QUIET = ("-hide_banner", "-nostdin", "-nostats", "-v", "error")
PROGRESS = ("-progress", "pipe:1", "-stats_period", "0.25")
TAIL_LINES = 100
LINE_BYTES = 4096
NO_REACH = SandboxAccess((), ())


@dataclass(frozen=True)
class Progress:
    """Frames made so far, and frames a second at present."""

    frames_done: int
    fps: float


def bundled_binary() -> Path:
    """The FFmpeg that comes with the package imageio-ffmpeg."""
    return Path(imageio_ffmpeg.get_ffmpeg_exe())


class Child:
    """A running FFmpeg; what it says is read from its start on."""

    def __init__(self, process: asyncio.subprocess.Process, step: FfmpegRun) -> None:
        self._process = process
        self._step = step
        self._messages: deque[str] = deque(maxlen=TAIL_LINES)
        self._reading = asyncio.create_task(self._read_messages())

    @property
    def output(self) -> asyncio.StreamReader:
        """Its standard output, where that is a pipe."""
        assert self._process.stdout is not None
        return self._process.stdout

    async def end(self) -> None:
        """See Aside."""
        code = await self._process.wait()
        await self._reading
        messages, step = list(self._messages), self._step
        told_cut_off = errors.cut_off(messages, step.cut_off_signs, step.fields)
        error = errors.ffmpeg_error(messages, code, step.fields) if code else told_cut_off
        if error is not None:
            log.warning("ffmpeg failed", return_code=code, messages=messages[-20:], arguments=step.arguments)
            raise error

    async def kill(self) -> None:
        """See Aside. Takes its remains too."""
        kill_group(self._process)
        self._reading.cancel()
        await asyncio.gather(self._reading, self._process.wait(), return_exceptions=True)

    async def _read_messages(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(LINE_BYTES):
            for line in data.decode(errors="replace").splitlines():
                self._messages.append(line)


class Run:
    """A pass at work: read `progress` to its end, then `finish`."""

    def __init__(self, child: Child, writer: Writer | None) -> None:
        self._child = child
        self._writer = writer

    async def progress(self) -> AsyncIterator[Progress]:
        """How far it is, a few times a second, until it has written all."""
        values: dict[bytes, bytes] = {}
        async for line in self._child.output:
            key, _, value = line.strip().partition(b"=")
            values[key] = value
            if key == b"progress":
                yield Progress(int(_number(values.get(b"frame"))), _number(values.get(b"fps")))

    async def finish(self) -> None:
        """Wait for its end. Raises ServiceError when it failed, or took a file that was cut off for whole."""
        if self._writer is not None:
            await self._writer.finish()
        await self._child.end()

    async def kill(self) -> None:
        """End it at once, and what writes to it."""
        await self._child.kill()
        if self._writer is not None:
            await self._writer.close()


@dataclass(frozen=True)
class Ffmpeg:
    """A binary, and the sandbox that it runs in."""

    binary: Path
    sandbox: Sandbox

    @contextlib.asynccontextmanager
    async def running(self, step: FfmpegRun, reach: SandboxAccess) -> AsyncIterator[Run]:
        """FFmpeg at work on a pass in the first writable folder of `reach`; killed when the block is left before its
        end."""
        writer = await step.stdin(partial(self._aside, reach)) if step.stdin is not None else None
        try:
            stdin = writer.reading if writer is not None else asyncio.subprocess.DEVNULL
            child = await self._child(step, reach, stdin, asyncio.subprocess.PIPE)
        except BaseException:
            if writer is not None:
                await writer.close()
            raise
        if writer is not None:
            writer.start()
        run = Run(child, writer)
        try:
            yield run
        finally:
            await run.kill()

    async def _aside(self, reach: SandboxAccess, step: FfmpegRun, stdout: int) -> Child:
        return await self._child(step, reach, asyncio.subprocess.DEVNULL, stdout)

    async def _child(self, step: FfmpegRun, reach: SandboxAccess, stdin: int, stdout: int) -> Child:
        progress = PROGRESS if stdout == asyncio.subprocess.PIPE else ()
        words = [str(self.binary), *QUIET, *progress, "-y", *step.arguments]
        process = await _spawned(
            self.sandbox.around(words, replace(reach, devices=step.devices)), reach.writable[0], stdin, stdout
        )
        return Child(process, step)

    async def answer(self, arguments: Sequence[str], timeout_seconds: float = 30.0) -> tuple[int, str]:
        """Return code and output of a short question (`-version`, a tiny encode)."""
        return await answer(self.sandbox.around([str(self.binary), *arguments], NO_REACH), timeout_seconds)


async def answer(command: Sequence[str], timeout_seconds: float = 30.0) -> tuple[int, str]:
    """Return code and output of a short command that needs no input."""
    process = await _spawned(command, None, asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(timeout_seconds):
            out, err = await process.communicate()
    finally:
        kill_group(process)
        await process.wait()
    return process.returncode or 0, (out + err).decode(errors="replace")


async def _spawned(command: Sequence[str], folder: Path | None, stdin: int, stdout: int) -> asyncio.subprocess.Process:
    return await spawn(command, cwd=folder, stdin=stdin, stdout=stdout, stderr=asyncio.subprocess.PIPE)


def _number(value: bytes | None) -> float:
    try:
        return float(value or 0)
    except ValueError:  # FFmpeg writes N/A
        return 0.0

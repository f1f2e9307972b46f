"""Progress and results of a task: their messages, their checks, and their bytes on the way out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import structlog

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.media import probe
from encoder.media.info import MediaInfo, ResultWarning, Source, VideoStream
from encoder.operations.plan import MP4_TYPE, Plan
from servicekit.chunks import CHUNK_BYTES, Checksum
from servicekit.errors import InvalidArgument

log = structlog.get_logger("encoder")

Send = Callable[[bytes], Awaitable[None]]
BeginFile = Callable[[str, str], Awaitable[None]]
"""Announces a further result by its name and MIME type."""


@dataclass(frozen=True)
class TaskProgress:
    """Frames done so far; `frames_total` is 0 while not known."""

    frames_done: int
    frames_total: int
    fps: float

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end at the present rate; None while not known."""
        if not self.frames_total or self.fps <= 0:
            return None
        return max(self.frames_total - self.frames_done, 0) / self.fps

    def to_message(self) -> encoder_pb2.EncodeProgress:
        """Return the progress as a message."""
        message = encoder_pb2.EncodeProgress(frames_done=self.frames_done, frames_total=self.frames_total, fps=self.fps)
        if self.seconds_left is not None:
            message.seconds_left = self.seconds_left
        return message


@dataclass(frozen=True)
class Measures:
    """The properties of a finished file; all 0 where it is neither picture nor video. Sizes are what a player shows, in
    pixels."""

    frames: int = 0
    duration_seconds: float = 0.0
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class TaskResult:
    """A finished result, the codec that made its video and why that one ("" where it is none)."""

    codec: str
    codec_reason: str
    content_type: str
    measures: Measures
    encode_seconds: float
    warnings: tuple[ResultWarning, ...]

    def to_summary(self, stream: "ResultStream") -> encoder_pb2.Summary:
        """Return the result as a message, with the sizes and digests of all files that were sent."""
        return encoder_pb2.Summary(
            size_bytes=stream.checksum.size_bytes,
            sha256=stream.checksum.sha256,
            content_type=self.content_type,
            codec=self.codec,
            codec_reason=self.codec_reason,
            **asdict(self.measures),
            encode_seconds=self.encode_seconds,
            warnings=[
                video_pb2.Warning(reason=w.reason, message=w.message, metadata=w.metadata) for w in self.warnings
            ],
            files=stream.files,
        )


def check_results(plan: Plan, result: Path) -> Measures:
    """Return the measures of a finished result. Raises InvalidArgument, which blames the plan's field, when it or a
    further result beside it is not what the plan declares."""
    for file in plan.files:
        _measure(plan, file.path(result), file.content_type)
    return _measure(plan, result, plan.content_type)


def _measure(plan: Plan, path: Path, content_type: str) -> Measures:
    if content_type == MP4_TYPE:
        return _measure_video(plan, path)
    if content_type.startswith("image/"):
        _, picture = _probe(plan, path, "picture")
        return Measures(1, 0.0, picture.width, picture.height)
    if not path.is_file() or not path.stat().st_size:
        raise probe.bad_input(Source(plan.field, path), f"nothing came of it that could be written as {content_type}.")
    return Measures()


def _measure_video(plan: Plan, path: Path) -> Measures:
    info, video = _probe(plan, path, "video")
    if not video.frames or not video.decodes:
        raise probe.bad_input(Source(plan.field, path), "not one frame of it could be decoded; send it again.")
    if plan.required_audio_field and not info.audio:
        source = Source(plan.required_audio_field, path)
        raise probe.bad_input(source, "there is no sound in it; give audio that is longer.")
    return Measures(video.frames, info.duration_seconds, *video.rotated_size)


def _probe(plan: Plan, path: Path, kind: str) -> tuple[MediaInfo, VideoStream]:
    try:
        return (probe.probe_video if kind == "video" else probe.probe_image)(Source("result", path))
    except (InvalidArgument, FileNotFoundError) as error:
        # FFmpeg was content, and yet there is nothing to show: it had nothing to make it of.
        log.warning("the result cannot be read", error=str(error))
        text = f"the file is damaged, and no {kind} can be made of it; send it again, or convert it first."
        raise probe.bad_input(Source(plan.field, path), text) from error


class ResultStream:
    """Sends a file from its beginning on, each byte once, and counts and digests what it sends. If not live, bytes are
    sent only after the file is complete."""

    def __init__(self, send: Send, begin_file: BeginFile, *, is_live: bool = True) -> None:
        self._send = send
        self._begin_file = begin_file
        self.is_live = is_live
        self.checksum = Checksum()
        self.files: list[encoder_pb2.ResultFile] = []

    async def send_file(self, name: str, content_type: str, path: Path) -> None:
        """Send a further result, which is complete, after the first one."""
        await self._begin_file(name, content_type)
        stream = ResultStream(self._send, self._begin_file)
        await stream.pump(path)
        checksum = stream.checksum
        self.files.append(
            encoder_pb2.ResultFile(
                name=name, content_type=content_type, size_bytes=checksum.size_bytes, sha256=checksum.sha256
            )
        )

    async def pump(self, path: Path) -> None:
        """Send what the file holds beyond what was sent; nothing while it does not exist."""
        try:
            file = await asyncio.to_thread(path.open, "rb", 0)
        except FileNotFoundError:
            return
        with file:
            file.seek(self.checksum.size_bytes)
            # The next chunk is read and digested on a thread while one is sent.
            reading = asyncio.ensure_future(asyncio.to_thread(self._read, file))
            try:
                while data := await reading:
                    reading = asyncio.ensure_future(asyncio.to_thread(self._read, file))
                    await self._send(data)
            finally:
                await asyncio.shield(asyncio.gather(reading, return_exceptions=True))

    def _read(self, file: BinaryIO) -> bytes:
        data = file.read(CHUNK_BYTES)
        self.checksum.add(data)
        return data

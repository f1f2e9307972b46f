"""Progress and result of a task, and the bytes of the result on their way out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.media.info import ResultWarning
from servicekit.chunks import CHUNK_BYTES, Checksum

CONTENT_TYPE = "video/mp4"

Send = Callable[[bytes], Awaitable[None]]


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
class TaskResult:
    """The properties of a finished file, the codec that made it and why that one. `width` and `height` are what a
    player shows."""

    codec: str
    codec_reason: str
    frames: int
    duration_seconds: float
    width: int
    height: int
    encode_seconds: float
    warnings: tuple[ResultWarning, ...]

    def to_summary(self, checksum: Checksum) -> encoder_pb2.Summary:
        """Return the result as a message, with the size and digest of its file."""
        return encoder_pb2.Summary(
            size_bytes=checksum.size_bytes,
            sha256=checksum.sha256,
            content_type=CONTENT_TYPE,
            codec=self.codec,
            codec_reason=self.codec_reason,
            frames=self.frames,
            duration_seconds=self.duration_seconds,
            width=self.width,
            height=self.height,
            encode_seconds=self.encode_seconds,
            warnings=[
                video_pb2.Warning(reason=w.reason, message=w.message, metadata=w.metadata) for w in self.warnings
            ],
        )


class ResultStream:
    """Sends a file from its beginning on, each byte once, and counts and digests what it sends. If not live, bytes are
    sent only after the file is complete."""

    def __init__(self, send: Send, *, is_live: bool = True) -> None:
        self._send = send
        self.is_live = is_live
        self.checksum = Checksum()

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

"""Results of a task: their checks, and their bytes on the way out."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

import structlog

from apigpu.encoder.v1 import encoder_pb2
from encoder.media import probe
from encoder.media.info import MediaInfo, Source, VideoStream
from encoder.operations.plan import MP4_TYPE, ExtraFile, Plan
from servicekit.chunks import CHUNK_BYTES, Checksum
from servicekit.errors import InvalidArgument

log = structlog.get_logger("encoder")

Send = Callable[[bytes], Awaitable[None]]
BeginFile = Callable[[encoder_pb2.ResultFile], Awaitable[None]]
"""Announces a further result by its name and MIME type."""


def check_results(plan: Plan, result: Path) -> encoder_pb2.Summary:
    """Return the frames, length and size of a finished result, as players show it; all 0 where it is neither picture
    nor video. Raises InvalidArgument, which blames the plan's field, when it or a further result beside it is not what
    the plan declares."""
    for file in plan.files:
        _measure(plan, file.path(result), file.content_type)
    return _measure(plan, result, plan.content_type)


def _measure(plan: Plan, path: Path, content_type: str) -> encoder_pb2.Summary:
    if content_type == MP4_TYPE:
        return _measure_video(plan, path)
    if content_type.startswith("image/"):
        _, picture = _probe(plan, path, "picture")
        return encoder_pb2.Summary(frames=1, width=picture.width, height=picture.height)
    if not path.is_file() or not path.stat().st_size:
        raise probe.bad_input(Source(plan.field, path), f"nothing came of it that could be written as {content_type}.")
    return encoder_pb2.Summary()


def _measure_video(plan: Plan, path: Path) -> encoder_pb2.Summary:
    info, video = _probe(plan, path, "video")
    if not video.frames or not video.decodes:
        raise probe.bad_input(Source(plan.field, path), "not one frame of it could be decoded; send it again.")
    if plan.required_audio_field and not info.audio:
        source = Source(plan.required_audio_field, path)
        raise probe.bad_input(source, "there is no sound in it; give audio that is longer.")
    width, height = video.rotated_size
    return encoder_pb2.Summary(frames=video.frames, duration_seconds=info.duration_seconds, width=width, height=height)


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

    async def send_file(self, file: ExtraFile, path: Path) -> None:
        """Send a further result, which is complete, after the first one."""
        message = encoder_pb2.ResultFile(name=file.name, content_type=file.content_type)
        await self._begin_file(message)
        stream = ResultStream(self._send, self._begin_file)
        await stream.pump(path)
        message.size_bytes, message.sha256 = stream.checksum.size_bytes, stream.checksum.sha256
        self.files.append(message)

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

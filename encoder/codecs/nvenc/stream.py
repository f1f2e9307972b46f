"""The compressor: connects a source of frames with a session, and the session with the run that makes the result."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator

import numpy as np

from encoder.codecs.base import CodecFault
from encoder.codecs.nvenc.request import LEFT, LIMIT, WHOLE, EncodeRequest, EncodeResult
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.ffmpeg.command import FfmpegRun, SideProcess, Spawn, Stdin, Writer
from encoder.ffmpeg.pipe import PipeWriter, wide_pipe
from encoder.kenburns.camera import Size
from servicekit.errors import InvalidArgument, ServiceError

NOTHING = "not one frame of it could be decoded; send it again."


def compressed(
    engine: WorkerClient,
    order: Callable[[int, int], EncodeRequest],
    source: "FfmpegRun | Feeder",
    *,
    decodes: bool = False,
) -> Stdin:
    """Standard input that is the bitstream of a session. The frames come from an FFmpeg beside it, which writes them in
    the container NUT and may decode on the card (`decodes`), or are made here."""

    async def opened(spawn: Spawn) -> Writer:
        async with contextlib.AsyncExitStack() as failed:
            compressor = Compressor(engine, decodes=decodes)
            failed.push_async_callback(compressor.close)
            await compressor.open(order, source, spawn)
            failed.pop_all()
            return compressor

    return opened


Feeder = Callable[[], PipeWriter]
"""Makes a feed of raw NV12."""


class Compressor:
    """See Writer."""

    def __init__(self, engine: WorkerClient, *, decodes: bool) -> None:
        self.reading = -1
        self._engine = engine
        self._decodes = decodes
        self._source: FfmpegRun | None = None
        self._filtering: SideProcess | None = None
        self._feed: PipeWriter | None = None
        self._ended: asyncio.Future[EncodeResult] | None = None

    async def open(self, order: Callable[[int, int], EncodeRequest], source: FfmpegRun | Feeder, spawn: Spawn) -> None:
        """Begin; `close` must follow, also when this fails. Raises CodecFault."""
        self.reading, writing = os.pipe()
        try:
            if isinstance(source, FfmpegRun):
                self._source = source
                frames = await self._filtered(source, spawn)
            else:
                self._feed = source()
                frames = os.dup(self._feed.reading)
            try:
                self._ended = await self._engine.send(order, frames, writing)
            finally:
                os.close(frames)
        finally:
            os.close(writing)
        if self._feed is not None:
            self._feed.start()

    async def _filtered(self, source: FfmpegRun, spawn: Spawn) -> int:
        reading, writing = wide_pipe()
        try:
            self._filtering = await spawn(source, writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return reading

    def start(self) -> None:
        """See Writer."""
        self._let_go_of_reading()

    async def finish(self) -> bool:
        """See Writer. Raises CodecFault where the session failed, and what the source of the frames failed of."""
        assert self._ended is not None
        ended = await asyncio.shield(self._ended)
        if ended.how == LIMIT:
            raise CodecFault("nvenc: the card has no session more to give.", reason="SESSION_LIMIT")
        if ended.how not in (WHOLE, LEFT):
            raise CodecFault(f"nvenc: the session failed: {ended.text}.", reason="CODEC_FAILED")
        if ended.how == LEFT:
            return False
        if self._filtering is not None:
            await self._filtered_whole(self._filtering)
        if self._feed is not None:
            await self._feed.finish()
        if not ended.frames and self._source is not None:
            field = self._source.fields[0]
            raise InvalidArgument(f"{field}: {NOTHING}", reason="BAD_INPUT", fields={field: NOTHING})
        return True

    async def _filtered_whole(self, filtering: SideProcess) -> None:
        """Wait for the source's end. Where the card decodes, it may be at fault as well as the file: then the task is
        tried without, and the file's fault shows there."""
        try:
            await filtering.end()
        except ServiceError as error:
            if self._decodes:
                raise CodecFault("nvenc: decoding on the card failed.", reason="NVDEC_FAILED") from error
            raise

    async def close(self) -> None:
        """See Writer. The session ends by its pipes: it finds no more frames, and nobody who reads."""
        self._let_go_of_reading()
        if self._filtering is not None:
            await self._filtering.kill()
        if self._ended is not None:
            await self._engine.over(self._ended)
        if self._feed is not None:
            await self._feed.close()

    def _let_go_of_reading(self) -> None:
        if self.reading >= 0:
            os.close(self.reading)
            self.reading = -1


def nv12(frames: Iterator[memoryview], size: Size) -> Iterator[memoryview]:
    """Frames of yuv420p as NV12: U and V, whole planes there, take turns here."""
    luma = size.width * size.height
    made = np.empty(size.frame_bytes, np.uint8)
    pairs = made[luma:].reshape(-1, 2)
    for frame in frames:
        planes = np.frombuffer(frame, np.uint8)
        made[:luma] = planes[:luma]
        pairs[:, 0] = planes[luma : luma * 5 // 4]
        pairs[:, 1] = planes[luma * 5 // 4 :]
        yield made.data

"""The codec `nvenc`: makes runs of FFmpeg whose video comes from a session of the worker."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import ffmpeg
import numpy as np

from encoder.codecs.base import AS_TIMED, CodecFault, Query
from encoder.codecs.card import Card
from encoder.codecs.nvenc import driver
from encoder.codecs.nvenc.request import (
    COMPLETE,
    FRAME_RATE,
    LIMIT,
    UNREAD,
    EncodeRequest,
    EncodeResult,
    Parameters,
    RawVideo,
)
from encoder.codecs.nvenc.worker_client import MakeRequest, WorkerClient
from encoder.ffmpeg.command import (
    FfmpegRun,
    FilteredFrames,
    OpenStdin,
    OutputSpec,
    RawFrames,
    SideProcess,
    Spawn,
    StdinWriter,
    VideoFrames,
)
from encoder.ffmpeg.process import PipeWriter, ReadingEnd, wide_pipe
from encoder.media.info import Size
from servicekit.errors import InvalidArgument, ServiceError

LIBRARY = "PyNvVideoCodec"
HWACCEL = ("-hwaccel", "cuda")
# What players of Apple's know H.265 by.
TAGS = {"hevc": {"tag:v": "hvc1"}}
NO_FRAMES = "not one frame of it could be decoded; send it again."

RawSource = Callable[[], PipeWriter]
"""Makes a pipe of raw NV12."""


@dataclass
class Nvenc:
    """NVENC through a worker; at the limit of sessions a task waits for one to end (`waits`), or must do without.
    `decodes` has the card decode too (NVDEC), where it can.

    Two runs of FFmpeg make a result: one decodes and filters, one puts bitstream and sound together.
    """

    worker: WorkerClient
    waits: bool
    decodes: bool
    name: str = "nvenc"

    @classmethod
    def of(cls, parameters: Parameters, *, waits: bool, decodes: bool) -> "Nvenc":
        """Return a codec with a worker of its own."""
        return cls(WorkerClient(parameters), waits, decodes)

    @property
    def format(self) -> str:
        return self.worker.parameters.format

    @property
    def device(self) -> str:
        return ", ".join(card.name for card in self.cards if not card.fault)

    @property
    def cards(self) -> tuple[Card, ...]:
        return self.worker.cards

    @property
    def simpler(self) -> "Nvenc | None":
        return replace(self, decodes=False) if self.decodes else None

    async def find_fault(self, _: Query) -> str:
        # Starts the worker, which tries a session on each card.
        if fault := driver.find_fault():
            return fault
        if find_spec(LIBRARY) is None:
            return f"{LIBRARY} is not installed; install api-gpu with the extra [nvenc]"
        try:
            await self.worker.start()
        except CodecFault as error:
            return error.message.removeprefix("nvenc: ").rstrip(".")
        return self.worker.fault

    def make_run(self, frames: VideoFrames, output: OutputSpec) -> FfmpegRun:
        bits = ffmpeg.input("pipe:0", f="nut")["v:0"]
        # The container keeps no length of the last frame.
        length = 1 / float(frames.frame_rate or FRAME_RATE)
        options = {"c:v": "copy", "bsf:v": f"setts=pts=PTS:dts=DTS:duration=DURATION+not(DURATION)*{length:.9f}/TB"}
        options |= TAGS.get(self.format, {})
        if isinstance(frames, FilteredFrames):
            source, request = self._filtering_run(frames, output), partial(self._request, frames, None)
            stdin = bitstream_stdin(self.worker, request, source, decodes=self.decodes)
            return output.run(bits, options, stdin, _shared_inputs(frames))
        raw = RawVideo(frames.size.width, frames.size.height, frames.frame_rate)
        request, source_pipe = partial(self._request, frames, raw), partial(_nv12_pipe, frames)
        return output.run(bits, options, bitstream_stdin(self.worker, request, source_pipe))

    async def close(self) -> None:
        await self.worker.close()

    def _request(self, frames: VideoFrames, raw: RawVideo | None, number: int, gpu: int) -> EncodeRequest:
        return EncodeRequest(
            number=number,
            gpu=gpu,
            parameters=self.worker.parameters,
            rate=frames.frame_rate,
            color_tags=frames.color_tags,
            pixel_aspect=frames.pixel_aspect,
            limits=self.cards[gpu].formats[self.format],
            raw=raw,
            wait=self.waits,
        )

    def _filtering_run(self, frames: FilteredFrames, output: OutputSpec) -> FfmpegRun:
        picture = frames.stream.filter("format", "nv12")
        # A copied stream is cut by the times of decoding: where the result ends, the picture must end before.
        end = {name: value for name, value in output.options.items() if name == "t"}
        pipe = ffmpeg.output(picture, "pipe:1", f="nut", **{"c:v": "rawvideo", **AS_TIMED, **end})
        run = output.run_reading(pipe, _shared_inputs(frames))
        if not self.decodes:
            return run
        # What the card cannot decode FFmpeg decodes itself, in mid-file too, and brings all frames to memory.
        return replace(run, arguments=(*HWACCEL, *run.arguments), devices=driver.devices())


def _shared_inputs(frames: FilteredFrames) -> Sequence[Any]:
    """Return what both runs read, so that they count time from the same start; nothing where they do so anyway."""
    return frames.inputs if len(frames.inputs) > 1 else ()


def _nv12_pipe(frames: RawFrames) -> PipeWriter:
    return PipeWriter(lambda: nv12(frames.frames(), frames.size))


def nv12(frames: Iterator[memoryview], size: Size) -> Iterator[memoryview]:
    """Yield frames of yuv420p as NV12: U and V, whole planes there, take turns here."""
    luma = size.width * size.height
    converted = np.empty(size.frame_bytes, np.uint8)
    pairs = converted[luma:].reshape(-1, 2)
    for frame in frames:
        planes = np.frombuffer(frame, np.uint8)
        converted[:luma] = planes[:luma]
        pairs[:, 0] = planes[luma : luma * 5 // 4]
        pairs[:, 1] = planes[luma * 5 // 4 :]
        yield converted.data


def bitstream_stdin(
    worker: WorkerClient, make: MakeRequest, source: FfmpegRun | RawSource, *, decodes: bool = False
) -> OpenStdin:
    """Return a standard input that is the bitstream of a session. The frames come from an FFmpeg beside it, which
    writes them in the container NUT and may decode on the card (`decodes`), or are generated here."""

    async def open_writer(spawn: Spawn) -> StdinWriter:
        async with contextlib.AsyncExitStack() as on_failure:
            writer = BitstreamWriter(worker, decodes=decodes)
            on_failure.push_async_callback(writer.close)
            await writer.open(make, source, spawn)
            on_failure.pop_all()
            return writer

    return open_writer


class BitstreamWriter(ReadingEnd):
    """A StdinWriter: connects a source of frames with a session, and the session with the run that makes the result."""

    def __init__(self, worker: WorkerClient, *, decodes: bool) -> None:
        self._worker = worker
        self._decodes = decodes
        self._source: FfmpegRun | None = None
        self._filtering: SideProcess | None = None
        self._raw: PipeWriter | None = None
        self._result: asyncio.Future[EncodeResult] | None = None

    async def open(self, make: MakeRequest, source: FfmpegRun | RawSource, spawn: Spawn) -> None:
        """Open the session; `close` must follow, also when this fails. Raises CodecFault."""
        self.reading, writing = os.pipe()
        try:
            if isinstance(source, FfmpegRun):
                self._source = source
                frames = await self._spawn_filtering(source, spawn)
            else:
                self._raw = source()
                frames = os.dup(self._raw.reading)
            try:
                self._result = await self._worker.send(make, frames, writing)
            finally:
                os.close(frames)
        finally:
            os.close(writing)
        if self._raw is not None:
            self._raw.start()

    async def _spawn_filtering(self, source: FfmpegRun, spawn: Spawn) -> int:
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
        self.close_reading()

    async def finish(self) -> bool:
        assert self._result is not None
        result = await asyncio.shield(self._result)
        if result.outcome == LIMIT:
            raise CodecFault("nvenc: the card has no session more to give.", reason="SESSION_LIMIT")
        if result.outcome not in (COMPLETE, UNREAD):
            raise CodecFault(f"nvenc: the session failed: {result.error}.", reason="CODEC_FAILED")
        if result.outcome == UNREAD:
            return False
        if self._filtering is not None:
            await self._finish_filtering(self._filtering)
        if self._raw is not None:
            await self._raw.finish()
        if not result.frames and self._source is not None:
            raise InvalidArgument.field(self._source.fields[0], NO_FRAMES, reason="BAD_INPUT")
        return True

    async def _finish_filtering(self, filtering: SideProcess) -> None:
        """Wait for the source's end. Where the card decodes, it may be at fault as well as the file: then the task is
        tried without, and the file's fault shows there."""
        try:
            await filtering.finish()
        except ServiceError as error:
            if self._decodes:
                raise CodecFault("nvenc: decoding on the card failed.", reason="NVDEC_FAILED") from error
            raise

    async def close(self) -> None:
        # The session ends by its pipes: it finds no more frames, and nobody who reads.
        self.close_reading()
        if self._filtering is not None:
            await self._filtering.kill()
        if self._result is not None:
            await self._worker.wait_closed(self._result)
        if self._raw is not None:
            await self._raw.close()

"""The codec `nvenc`: makes runs of FFmpeg whose video comes from a session of the worker."""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from typing import Any

import ffmpeg
import numpy as np

from encoder.codecs.base import CodecFault, Query, SizeFault
from encoder.codecs.card import Card
from encoder.codecs.nvenc import driver
from encoder.codecs.nvenc.nvdec import FEWEST_FRAMES, Nvdec
from encoder.codecs.nvenc.request import (
    COMPLETE,
    FRAME_RATE,
    LIMIT,
    SIZE,
    UNREAD,
    EncodeRequest,
    EncodeResult,
    RawVideo,
)
from encoder.codecs.nvenc.set_numbers import NUMBERS
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.ffmpeg.command import (
    SQUARE,
    FfmpegRun,
    FilteredFrames,
    OutputSpec,
    Spawn,
    StdinWriter,
    TrackFit,
    VideoFrames,
    frame_length,
)
from encoder.ffmpeg.process import FfmpegProcess, Generate, PipeWriter, ReadingEnd, wide_pipe
from encoder.media.info import Size
from servicekit.errors import InvalidArgument, ServiceError

LIBRARY = "PyNvVideoCodec"
# What the library makes of frames of eight bits.
PROFILES = {"h264": "high", "hevc": "main"}
# What players of Apple's know H.265 by.
TAGS = {"hevc": {"tag:v": "hvc1"}}
NO_FRAMES = "not one frame of it could be decoded; send it again."


@dataclass
class Nvenc:
    """NVENC through a worker; at the limit of sessions a task waits for one to end (`waits`), or must do without.
    `decodes` has the cards decode too (NVDEC), those that were seen to (`nvdec`).

    Two runs of FFmpeg make a result: one decodes and filters, one puts bitstream and sound together.
    """

    worker: WorkerClient
    waits: bool
    decodes: bool
    nvdec: Nvdec = field(default_factory=Nvdec)
    name: str = "nvenc"

    @property
    def format(self) -> str:
        return self.worker.parameters.format

    @property
    def device(self) -> str:
        return self.worker.device

    @property
    def cards(self) -> tuple[Card, ...]:
        return tuple(
            replace(card, decodes=self.nvdec.is_used_on(number), decode_fault=self.nvdec.faults.get(number, ""))
            for number, card in enumerate(self.worker.cards)
        )

    @property
    def decode_fault(self) -> str:
        return self.nvdec.fault

    @property
    def fault(self) -> str:
        return self.worker.start_fault

    @property
    def simpler(self) -> "Nvenc | None":
        return replace(self, decodes=False, nvdec=Nvdec()) if self.nvdec.is_used else None

    async def find_fault(self, query: Query) -> str:
        # Starts the worker, which tries a session on each card.
        if fault := driver.find_fault():
            return fault
        if find_spec(LIBRARY) is None:
            return f"{LIBRARY} is not installed; install api-gpu with the extra [nvenc]"
        with contextlib.suppress(CodecFault):
            await self.worker.start()
        if fault := self.worker.start_fault or self.worker.fault:
            return fault
        if self.decodes:
            await self.nvdec.try_on([number for number, card in enumerate(self.worker.cards) if not card.fault], query)
        return ""

    def size_error(self, width: int, height: int) -> str:
        usable = (card for card in self.worker.cards if not card.fault)
        errors = (card.size_error(self.format, width, height) for card in usable)
        return next(filter(None, errors), "")

    def fit_error(self, fit: TrackFit) -> str:
        if fit.profile != PROFILES.get(self.format):
            return f"the codec nvenc makes video of the profile {PROFILES.get(self.format)}, and not of {fit.profile}"
        return "" if fit.number in NUMBERS else "all numbers of parameter sets that nvenc can have are taken"

    def for_frames(self, frames: int) -> "Nvenc":
        is_short = 0 < frames < FEWEST_FRAMES
        return self.simpler or self if is_short else self

    def make_run(self, frames: VideoFrames, output: OutputSpec) -> FfmpegRun:
        bits = ffmpeg.input("pipe:0", f="nut")["v:0"]
        # The container keeps no length of the last frame.
        length = 1 / float(frames.frame_rate or FRAME_RATE)
        last = frames.last if isinstance(frames, FilteredFrames) else None
        options: dict[str, Any] = {"c:v": "copy", "bsf:v": f"setts=pts=PTS:dts=DTS:{frame_length(length, last)}"}
        options |= TAGS.get(self.format, {})
        if self.format == "av1" and frames.pixel_aspect != SQUARE:  # its bitstream does not tell
            shape = Fraction(frames.size.width, frames.size.height) * frames.pixel_aspect
            options["aspect"] = f"{shape.numerator}:{shape.denominator}"
        if isinstance(frames, FilteredFrames):
            # NUT has no times before 0: where the first picture is decoded there, all come later by as much.
            options |= {"start_at_zero": None} if frames.fit is not None else {}
            writer = SessionFrames(self, self._request(frames), self._filtering_run(frames, output))
            return output.run(bits, options, writer, _shared_inputs(frames))
        raw = RawVideo(frames.size.width, frames.size.height, frames.frame_rate)
        return output.run(bits, options, SessionFrames(self, self._request(frames, raw), frames.frames))

    async def close(self) -> None:
        await self.worker.close()

    def _request(self, frames: VideoFrames, raw: RawVideo | None = None) -> EncodeRequest:
        tags, aspect = frames.color_tags, frames.pixel_aspect
        fit = frames.fit if isinstance(frames, FilteredFrames) else None
        is_uneven = isinstance(frames, FilteredFrames) and frames.last is not None
        in_order = is_uneven or (fit is not None and not fit.reordered)
        known = (self.worker.parameters, frames.frame_rate, tags, aspect, raw, self.waits)
        request = EncodeRequest(*known, in_order=in_order)
        if fit is None:
            return request
        level, tier = _level_name(fit.level), int(fit.is_high_tier)
        return replace(request, sets_number=fit.number, max_level=level, max_tier=tier)

    def _filtering_run(self, frames: FilteredFrames, output: OutputSpec) -> FfmpegRun:
        picture = frames.stream.filter("format", "nv12")
        # A copied stream is cut by the times of decoding: where the result ends, the picture must end before.
        shared = {name: value for name, value in output.options.items() if name in ("t", "copyts")}
        pipe = ffmpeg.output(picture, "pipe:1", f="nut", **{"c:v": "rawvideo", **frames.timing, **shared})
        return output.run_reading(pipe, _shared_inputs(frames), frames.stdin)


def _level_name(level: int) -> str:
    """Return the name of ten times a level; level 1b, which the library does not name, is above 1."""
    return f"{max(level, 10) / 10:g}"


def _shared_inputs(frames: FilteredFrames) -> Sequence[Any]:
    """Return what both runs read, so that they count time from the same start; nothing where they do so anyway."""
    return frames.inputs if len(frames.inputs) > 1 else ()


@dataclass(frozen=True)
class SessionFrames:
    """Makes a BitstreamWriter of a session that gets its frames from a run of FFmpeg, or as they are generated, which
    is as raw as the request says."""

    codec: Nvenc
    request: EncodeRequest
    source: FfmpegRun | Generate

    def __call__(self) -> StdinWriter:
        source, raw = self.source, self.request.raw
        if not isinstance(source, FfmpegRun):
            assert raw is not None
            source = partial(nv12, source, Size(raw.width, raw.height))
        return BitstreamWriter(self.codec.worker, self.request, source, self.codec.nvdec)


def nv12(generate: Generate, size: Size) -> Iterator[memoryview]:
    """Yield frames of yuv420p as NV12: U and V, whole planes there, take turns here."""
    luma = size.width * size.height
    converted = np.empty(size.frame_bytes, np.uint8)
    pairs = converted[luma:].reshape(-1, 2)
    for frame in generate():
        planes = np.frombuffer(frame, np.uint8)
        converted[:luma] = planes[:luma]
        pairs[:, 0] = planes[luma : luma * 5 // 4]
        pairs[:, 1] = planes[luma * 5 // 4 :]
        yield converted.data


class BitstreamWriter(ReadingEnd):
    """A StdinWriter: connects a source of frames with a session, and the session with the run that makes the result.

    The frames come from an FFmpeg beside it, which writes them in the container NUT and decodes on the session's card
    where that was seen to (`nvdec`), or are generated here as raw NV12.
    """

    def __init__(
        self, worker: WorkerClient, request: EncodeRequest, source: FfmpegRun | Generate, nvdec: Nvdec | None = None
    ) -> None:
        self._worker = worker
        self._request = request
        self._source = source
        self._nvdec = nvdec or Nvdec()
        self._gpu: int | None = None
        self._decodes = False
        self._filtering: FfmpegProcess | None = None
        self._feeding: StdinWriter | None = None
        self._raw: PipeWriter | None = None
        self._result: asyncio.Future[EncodeResult] | None = None

    async def open(self, spawn: Spawn) -> None:
        """Open the session. Raises CodecFault."""
        with contextlib.ExitStack() as stack:
            self.reading, writing = os.pipe()
            stack.callback(os.close, writing)
            gpu = self._gpu = await self._worker.take_card(self._request.parameters)
            frames = await self._open_source(spawn, gpu)
            stack.callback(os.close, frames)
            self._result = await self._worker.send(replace(self._request, gpu=gpu), frames, writing)
        if self._raw is not None:
            self._raw.start()

    async def _open_source(self, spawn: Spawn, gpu: int) -> int:
        """Return the end of a pipe that frames can be read from."""
        if not isinstance(self._source, FfmpegRun):
            self._raw = PipeWriter(self._source)
            await self._raw.open(spawn)
            return os.dup(self._raw.reading)
        reading, writing = wide_pipe()
        self._decodes = self._nvdec.is_used_on(gpu) and self._source.stdin is None
        run = self._nvdec.decoding_on(gpu, self._source) if self._decodes else self._source
        try:
            if run.stdin is not None:
                self._feeding = run.stdin()
                await self._feeding.open(spawn)
            self._filtering = await spawn(run, writing, self._feeding)
            if self._feeding is not None:
                self._feeding.start()
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return reading

    def start(self) -> None:
        self.close_reading()

    async def finish(self) -> None:
        assert self._result is not None
        result = await asyncio.shield(self._result)
        if result.outcome == LIMIT:
            raise CodecFault("nvenc: the card has no session more to give.", reason="SESSION_LIMIT")
        if result.outcome == UNREAD:
            return
        if result.outcome == SIZE:
            raise SizeFault(f"nvenc: {result.error}.", reason="SIZE_UNSUPPORTED")
        if result.outcome != COMPLETE:
            raise CodecFault(f"nvenc: the session failed: {result.error}.", reason="CODEC_FAILED")
        if self._filtering is not None:
            await self._finish_filtering(self._filtering)
        if self._raw is not None:
            await self._raw.finish()
        if not result.frames and isinstance(self._source, FfmpegRun):
            raise InvalidArgument.field(self._source.fields[0], NO_FRAMES, reason="BAD_INPUT")

    async def _finish_filtering(self, filtering: FfmpegProcess) -> None:
        """Wait for the source's end. Where the card decodes, it may be at fault as well as the file: then the task is
        tried without, and the file's fault shows there."""
        try:
            await filtering.finish()
        except ServiceError as error:
            if self._decodes and self._gpu is not None:
                await self._nvdec.report_failure(self._gpu)
                raise CodecFault("nvenc: decoding on the card failed.", reason="NVDEC_FAILED") from error
            raise

    async def close(self) -> None:
        # The session ends by its pipes: it finds no more frames, and nobody who reads.
        self.close_reading()
        if self._filtering is not None:
            await self._filtering.kill()
        if self._feeding is not None:
            await self._feeding.close()
        if self._result is not None:
            await self._worker.wait_closed(self._result)
        if self._raw is not None:
            await self._raw.close()
        if self._gpu is not None:
            self._worker.release_card(self._gpu)
            self._gpu = None

"""The codec `nvenc`: what operations see of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import ffmpeg

from encoder.codecs.base import AS_TIMED, Ask, CodecFault, FilteredFrames, OutputSpec, Picture, RawFrames
from encoder.codecs.card import Card
from encoder.codecs.nvenc import driver
from encoder.codecs.nvenc.parameters import FRAME_RATE, Parameters
from encoder.codecs.nvenc.request import EncodeRequest, RawVideo
from encoder.codecs.nvenc.stream import compressed, nv12
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.pipe import PipeWriter

LIBRARY = "PyNvVideoCodec"
ON_CARD = ("-hwaccel", "cuda")
# What players of Apple's know H.265 by.
TAGS = {"hevc": {"tag:v": "hvc1"}}


@dataclass
class Nvenc:
    """NVENC through `engine`; at the limit of sessions a task waits for one to end (`waits`), or must do without.
    `decodes` has the card decode too (NVDEC), where it can.

    Two runs of FFmpeg make a result: one decodes and filters, one puts bitstream and sound together.
    """

    engine: WorkerClient
    waits: bool
    decodes: bool
    name: str = "nvenc"

    @classmethod
    def of(cls, parameters: Parameters, *, waits: bool, decodes: bool) -> "Nvenc":
        """With a worker of its own."""
        return cls(WorkerClient(parameters), waits, decodes)

    @property
    def format(self) -> str:
        """See Codec."""
        return self.engine.parameters.format

    @property
    def device(self) -> str:
        """See Codec."""
        return ", ".join(card.name for card in self.cards if not card.fault)

    @property
    def cards(self) -> tuple[Card, ...]:
        """See Codec."""
        return self.engine.cards

    @property
    def simpler(self) -> "Nvenc | None":
        """See Codec: decoding in software."""
        return replace(self, decodes=False) if self.decodes else None

    async def fault(self, _: Ask) -> str:
        """See Codec. Starts the worker, which tries a session on each card."""
        if missing := driver.missing():
            return missing
        if find_spec(LIBRARY) is None:
            return f"{LIBRARY} is not installed; install api-gpu with the extra [nvenc]"
        try:
            await self.engine.start()
        except CodecFault as error:
            return error.message.removeprefix("nvenc: ").rstrip(".")
        return self.engine.fault

    def step(self, picture: Picture, around: OutputSpec) -> FfmpegRun:
        """See Codec."""
        bits = ffmpeg.input("pipe:0", f="nut")["v:0"]
        # The container keeps no length of the last frame.
        length = 1 / float(picture.frame_rate or FRAME_RATE)
        options = {"c:v": "copy", "bsf:v": f"setts=pts=PTS:dts=DTS:duration=DURATION+not(DURATION)*{length:.9f}/TB"}
        options |= TAGS.get(self.format, {})
        if isinstance(picture, FilteredFrames):
            source, order = self._filtering(picture, around), partial(self._order, picture, None)
            stdin = compressed(self.engine, order, source, decodes=self.decodes)
            return around.run(bits, options, stdin, _aside(picture))
        order = partial(self._order, picture, RawVideo(picture.size.width, picture.size.height, picture.frame_rate))
        return around.run(bits, options, compressed(self.engine, order, partial(_feed, picture)))

    async def close(self) -> None:
        """See Codec."""
        await self.engine.close()

    def _order(self, picture: Picture, raw: RawVideo | None, number: int, gpu: int) -> EncodeRequest:
        return EncodeRequest(
            number=number,
            gpu=gpu,
            parameters=self.engine.parameters,
            rate=picture.frame_rate,
            colours=picture.colours,
            pixel_aspect=picture.pixel_aspect,
            limits=self.cards[gpu].formats[self.format],
            raw=raw,
            wait=self.waits,
        )

    def _filtering(self, picture: FilteredFrames, around: OutputSpec) -> FfmpegRun:
        shown = picture.stream.filter("format", "nv12")
        # A copied stream is cut by the times of decoding: where the result ends, the picture must end before.
        end = {name: value for name, value in around.options.items() if name == "t"}
        output = ffmpeg.output(shown, "pipe:1", f="nut", **{"c:v": "rawvideo", **AS_TIMED, **end})
        step = around.reading(output, _aside(picture))
        if not self.decodes:
            return step
        # What the card cannot decode FFmpeg decodes itself, in mid-file too, and brings all frames to memory.
        return replace(step, arguments=(*ON_CARD, *step.arguments), devices=driver.devices())


def _aside(picture: FilteredFrames) -> Sequence[Any]:
    """What both runs read, so that they count time from the same start; nothing where they do so anyway."""
    return picture.taken if len(picture.taken) > 1 else ()


def _feed(picture: RawFrames) -> PipeWriter:
    return PipeWriter(lambda: nv12(picture.frames(), picture.size))

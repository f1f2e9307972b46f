"""The codec `nvenc`: what operations see of it."""

from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec

import ffmpeg

from encoder.codecs.base import AS_TIMED, Around, Ask, CodecFault, Filtered, Made, Picture
from encoder.codecs.card import Card
from encoder.codecs.nvenc import driver
from encoder.codecs.nvenc.compressor import compressed, nv12
from encoder.codecs.nvenc.engine import Engine
from encoder.codecs.nvenc.order import Order, Raw
from encoder.codecs.nvenc.parameters import Parameters
from encoder.feed import Feed
from encoder.passes import Pass, compiled, fields_of

LIBRARY = "PyNvVideoCodec"
# What players of Apple's know H.265 by.
TAGS = {"hevc": {"tag:v": "hvc1"}}


@dataclass
class Nvenc:
    """NVENC with `parameters`; at the limit of sessions a task waits for one to end (`waits`), or must do without.

    Two runs of FFmpeg make a result: one decodes and filters, one puts bitstream and sound together.
    """

    parameters: Parameters
    waits: bool
    name: str = "nvenc"
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = Engine(self.parameters)

    @property
    def format(self) -> str:
        """See Codec."""
        return self.parameters.format

    @property
    def device(self) -> str:
        """See Codec."""
        return ", ".join(card.name for card in self.cards if not card.fault)

    @property
    def cards(self) -> tuple[Card, ...]:
        """See Codec."""
        return self.engine.cards

    async def fault(self, _: Ask) -> str:
        """See Codec. Starts the worker, which tries a session on each card."""
        if missing := driver.missing():
            return missing
        if find_spec(LIBRARY) is None:
            return f"{LIBRARY} is not installed; pip install 'api-gpu[nvenc]'"
        try:
            await self.engine.start()
        except CodecFault as error:
            return error.message.removeprefix("nvenc: ").rstrip(".")
        return self.engine.fault

    def step(self, picture: Picture, around: Around) -> Pass:
        """See Codec."""
        bits = ffmpeg.input("pipe:0", f="nut")["v:0"]
        options = {"c:v": "copy", **TAGS.get(self.format, {})}
        if isinstance(picture, Filtered):
            order = partial(self._order, picture, None)
            return around.run(bits, options, stdin=compressed(self.engine, order, _filtering(picture, around)))
        order = partial(self._order, picture, Raw(picture.size.width, picture.size.height, picture.frame_rate))
        return around.run(bits, options, stdin=compressed(self.engine, order, partial(_feed, picture)))

    async def close(self) -> None:
        """See Codec."""
        await self.engine.close()

    def _order(self, picture: Picture, raw: Raw | None, number: int, gpu: int) -> Order:
        return Order(
            number, gpu, self.parameters, picture.frame_rate, picture.colours, picture.pixel_aspect, raw, self.waits
        )


def _filtering(picture: Filtered, around: Around) -> Pass:
    shown = picture.stream.filter("format", "nv12")
    arguments = compiled(ffmpeg.output(shown, "pipe:1", f="nut", **{"c:v": "rawvideo", **AS_TIMED}))
    return Pass(arguments, fields_of(arguments, around.names))


def _feed(picture: Made) -> Feed:
    return Feed(lambda: nv12(picture.frames(), picture.size))

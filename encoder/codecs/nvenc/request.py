"""Orders: what a task asks of the worker, as it goes over to it. Pure."""

import json
from dataclasses import asdict, dataclass
from fractions import Fraction

from encoder.codecs.card import Size
from encoder.codecs.nvenc.parameters import Parameters
from encoder.media.color import ColorTags


@dataclass(frozen=True)
class RawVideo:
    """Frames without a container: NV12 of this size, at a constant rate, with square pixels."""

    width: int
    height: int
    rate: Fraction


@dataclass(frozen=True)
class EncodeRequest:
    """One session: frames at `rate` (on paper; 0 when not known) with these colours and shape of pixels, encoded by
    `parameters` on a card, which makes pictures between two sizes, `limits`. They come as `raw`, or in the container
    NUT. At the limit of sessions `wait` has the session wait for another to end."""

    number: int
    gpu: int
    parameters: Parameters
    rate: Fraction
    colours: ColorTags
    pixel_aspect: Fraction
    limits: tuple[Size, Size]
    raw: RawVideo | None
    wait: bool

    def unfit(self, width: int, height: int) -> str:
        """Why the card cannot make pictures of this size; "" when it can."""
        low, high = self.limits
        if low[0] <= width <= high[0] and low[1] <= height <= high[1]:
            return ""
        return f"the card makes pictures from {low[0]}×{low[1]} to {high[0]}×{high[1]}, and these are {width}×{height}"

    def packed(self) -> bytes:
        """The order as JSON."""
        return json.dumps(asdict(self), default=str).encode()

    @classmethod
    def unpacked(cls, data: bytes) -> "EncodeRequest":
        """The order that `packed` packed."""
        values = json.loads(data)
        raw = values["raw"]
        return cls(
            number=values["number"],
            gpu=values["gpu"],
            parameters=Parameters(**values["parameters"]),
            rate=Fraction(values["rate"]),
            colours=ColorTags(**values["colours"]),
            pixel_aspect=Fraction(values["pixel_aspect"]),
            limits=(tuple(values["limits"][0]), tuple(values["limits"][1])),
            raw=RawVideo(raw["width"], raw["height"], Fraction(raw["rate"])) if raw else None,
            wait=values["wait"],
        )


# The longest order or answer.
MAX_MESSAGE_BYTES = 64 * 1024

# How a session ended.
WHOLE = "whole"
LEFT = "left"  # nobody reads the bitstream any more
LIMIT = "limit"  # no session more can be had
UNFIT = "unfit"  # the card makes no pictures of this size
DEVICE = "device"  # the card, its driver or the library failed


@dataclass(frozen=True)
class EncodeResult:
    """How the session of an order ended, after so many frames; `text` says what went wrong."""

    number: int
    how: str
    frames: int
    text: str = ""

    def packed(self) -> bytes:
        """The answer as JSON."""
        return json.dumps(asdict(self)).encode()

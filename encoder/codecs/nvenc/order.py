"""Orders: what a task asks of the worker, as it goes over to it. Pure."""

import json
from dataclasses import asdict, dataclass
from fractions import Fraction

from encoder.codecs.nvenc.parameters import Parameters
from encoder.colours import Colours


@dataclass(frozen=True)
class Raw:
    """Frames without a container: NV12 of this size, at a constant rate, with square pixels."""

    width: int
    height: int
    rate: Fraction


@dataclass(frozen=True)
class Order:
    """One session: frames at `rate` (on paper; 0 when not known) with these colours and shape of pixels, encoded by
    `parameters` on a card. They come as `raw`, or in the container NUT. At the limit of sessions `wait` has the session
    wait for another to end."""

    number: int
    gpu: int
    parameters: Parameters
    rate: Fraction
    colours: Colours
    pixel_aspect: Fraction
    raw: Raw | None
    wait: bool

    def packed(self) -> bytes:
        """The order as JSON."""
        return json.dumps(asdict(self), default=str).encode()

    @classmethod
    def unpacked(cls, data: bytes) -> "Order":
        """The order that `packed` packed."""
        values = json.loads(data)
        raw = values["raw"]
        return cls(
            number=values["number"],
            gpu=values["gpu"],
            parameters=Parameters(**values["parameters"]),
            rate=Fraction(values["rate"]),
            colours=Colours(**values["colours"]),
            pixel_aspect=Fraction(values["pixel_aspect"]),
            raw=Raw(raw["width"], raw["height"], Fraction(raw["rate"])) if raw else None,
            wait=values["wait"],
        )


# The longest order or answer.
MAX_MESSAGE_BYTES = 64 * 1024

# How a session ended.
WHOLE = "whole"
LEFT = "left"  # nobody reads the bitstream any more
LIMIT = "limit"  # no session more can be had
DEVICE = "device"  # the card, its driver or the library failed


@dataclass(frozen=True)
class Ended:
    """How the session of an order ended, after so many frames; `text` says what went wrong."""

    number: int
    how: str
    frames: int
    text: str = ""

    def packed(self) -> bytes:
        """The answer as JSON."""
        return json.dumps(asdict(self)).encode()

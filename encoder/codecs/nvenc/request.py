"""The messages between the encoder and its worker, and the parameters that PyNvVideoCodec is given. Pure.

The library takes what it does not know for something else, in silence: an unknown word is ignored, "p4" is no preset
but a stray one, "cqp" becomes a constant bit rate. So every word and value is held against what it was seen to
understand (version 2.2.4), and nothing else reaches it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from encoder.codecs.card import Card, SizeLimits, size_error
from encoder.codecs.nvenc.driver import NO_B_FRAMES, NO_FORMAT, NO_LOOKAHEAD
from encoder.codecs.nvenc.levels import lift
from encoder.media.info import ColorTags

FORMATS = ("h264", "hevc", "av1")
PRESETS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7")
MAX_B_FRAMES = 4
MAX_LOOKAHEAD = 31
# Constant quality: 0 would leave the choice to the driver. AV1 counts further (nvEncodeAPI.h, targetQuality).
MAX_CQ: Mapping[str, int] = {"h264": 51, "hevc": 51, "av1": 63}
GOP_SECONDS = 2
# Of videos that do not tell their rate.
FRAME_RATE = Fraction(25)

WORDS: Mapping[str, re.Pattern[str]] = {
    "codec": re.compile("|".join(FORMATS)),
    "preset": re.compile("|".join(PRESETS)),
    "tuning_info": re.compile("high_quality"),
    "rc": re.compile("vbr"),
    "cq": re.compile("[1-9][0-9]?"),
    "gop": re.compile("[1-9][0-9]{0,5}"),
    "idrperiod": re.compile("[1-9][0-9]{0,5}"),
    "bf": re.compile(f"[0-{MAX_B_FRAMES}]"),
    "lookahead": re.compile("[1-9]|[12][0-9]|3[01]"),
    "fps": re.compile("[1-9][0-9]*/[1-9][0-9]*"),
    "gpu_id": re.compile("[0-9]{1,3}"),
    "level": re.compile(r"[1-6](\.[1-3])?"),
    "tier": re.compile("1"),
}


@dataclass(frozen=True)
class Parameters:
    """Settings of an encode: `format` of FORMATS, `preset` of PRESETS, `cq` (1 best to MAX_CQ worst), B-frames between
    two others, frames to look ahead."""

    format: str = "h264"
    preset: str = "P4"
    cq: int = 23
    b_frames: int = 2
    lookahead: int = 0

    def words(
        self, width: int, height: int, rate: Fraction, gpu: int, max_level: str = "", max_tier: int = 0
    ) -> dict[str, str]:
        """Return the keywords of CreateEncoder for frames of this size at `rate` (0 when it is not known) on one of the
        cards; no level is asked for above `max_level`, nor a tier above `max_tier`, where a level is given. Raises
        ValueError for what the library would misunderstand."""
        rate = rate if rate > 0 else FRAME_RATE
        gop = str(max(round(rate * GOP_SECONDS), 1))
        words = {
            "codec": self.format,
            "preset": self.preset,
            "tuning_info": "high_quality",
            "rc": "vbr",
            "cq": str(self.cq),
            "gop": gop,
            "idrperiod": gop,
            "bf": str(self.b_frames),
            "fps": f"{rate.numerator}/{rate.denominator}",
            "gpu_id": str(gpu),
        }
        if self.lookahead:  # the library takes any value, 0 too, for the wish to look ahead
            words["lookahead"] = str(self.lookahead)
        check_words(words)
        if lifted := lift(self.format, width, height, rate, self.cq, max_level, max_tier):
            words |= {"level": lifted.level} | ({"tier": "1"} if lifted.tier else {})
            check_words(words)
        return words

    def find_unsupported(self, card: Card) -> str:
        """Return which of them a card does not support; "" when it supports all."""
        if self.format not in card.abilities:
            return NO_FORMAT.format(self.format, ", ".join(card.formats))
        able = card.abilities[self.format]
        if self.b_frames > able.b_frames:
            return NO_B_FRAMES.format(self.format, able.b_frames, able.b_frames)
        return NO_LOOKAHEAD if self.lookahead and not able.looks_ahead else ""


def check_words(words: Mapping[str, str]) -> None:
    """Raise ValueError for words that the library would not understand."""
    for word, value in words.items():
        if word not in WORDS or not WORDS[word].fullmatch(value):
            raise ValueError(f"PyNvVideoCodec would not understand {word}={value!r}")
    if int(words["cq"]) > MAX_CQ[words["codec"]]:
        raise ValueError(f"PyNvVideoCodec would not understand cq={words['cq']} of {words['codec']}")
    if int(words.get("lookahead", 0)) + int(words["bf"]) > MAX_LOOKAHEAD:
        raise ValueError(f"B-frames and lookahead are together more than {MAX_LOOKAHEAD}")


@dataclass(frozen=True)
class RawVideo:
    """Frames without a container: NV12 of this size, at a constant rate, with square pixels."""

    width: int
    height: int
    rate: Fraction


@dataclass(frozen=True)
class EncodeRequest:
    """One session: frames at a nominal `rate` (0 when not known), encoded by `parameters` on the card number `gpu`,
    which makes pictures within `limits`. They come as `raw`, or in the container NUT. At the limit of sessions `wait`
    has the session wait for another to end. With `in_order` no frame is decoded before one that is shown earlier. The
    parameter sets of H.264 and H.265 get a number of set_numbers.NUMBERS as `sets_number`, or have 0. No level above
    `max_level` is asked for, and then no tier above `max_tier` (1 is the high one)."""

    parameters: Parameters
    rate: Fraction
    color_tags: ColorTags
    pixel_aspect: Fraction
    raw: RawVideo | None = None
    wait: bool = False
    number: int = 0
    gpu: int = 0
    limits: SizeLimits = ((0, 0), (0, 0))
    in_order: bool = False
    sets_number: int = 0
    max_level: str = ""
    max_tier: int = 0
    # What the log says that it is about.
    log_ids: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Parameters:
        """The parameters that hold for this session."""
        return replace(self.parameters, b_frames=0) if self.in_order else self.parameters

    def size_error(self, width: int, height: int) -> str:
        """Return why the card cannot make pictures of this size; "" when it can."""
        return size_error(self.limits, width, height)


# The longest request or result.
MAX_MESSAGE_BYTES = 64 * 1024

# How a session ended.
COMPLETE = "complete"
UNREAD = "unread"  # nobody reads the bitstream any more
LIMIT = "limit"  # no session more can be had
SIZE = "size"  # the card makes no pictures of this size
DEVICE = "device"  # the card, its driver or the library failed


@dataclass(frozen=True)
class EncodeResult:
    """How the session of a request ended, after so many frames; `error` says what went wrong."""

    number: int
    outcome: str
    frames: int
    error: str = ""

"""The look of captions."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from api_gpu.source import Source

Container = Literal["mp4", "fragmented-mp4"]
"""MP4 with its index first, for any player (when not given); or fragmented MP4, which leaves the encoder while it is
made."""


@dataclass(frozen=True)
class Word:
    """A word as it stands in the subtitles, and when it is said: seconds from the start of the video."""

    text: str
    start: float
    end: float


Pan = Literal["left", "right", "up", "down", "up-left", "up-right", "down-left", "down-right"]
Easing = Literal["linear", "in-out"]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The camera zooms from `start_zoom` to `end_zoom` (1 to 10; 1 and 1.324 when None), or back with `zoom_out`.

    The point `focus_x`, `focus_y` (0 to 1; the centre when None) stays in its place, unless the window travels to the
    side that `pan` names. `easing` "in-out" is slow at both ends.
    """

    start_zoom: float | None = None
    end_zoom: float | None = None
    zoom_out: bool = False
    pan: Pan | None = None
    focus_x: float | None = None
    focus_y: float | None = None
    easing: Easing | None = None


Fit = Literal["cover", "contain", "blur", "stretch"]
"""How a still of another shape than the clip is fitted in: cut, between bars, on a blurred copy of itself, pulled."""


@dataclass(frozen=True)
class Still:
    """An image, with seconds (0.1 to 600) and a camera of its own; those of the call where they are None."""

    source: Source
    seconds: float | None = None
    motion: Motion | None = None


@dataclass(frozen=True, kw_only=True)
class Soundtrack:
    """`mix` keeps the video's own sound, and the result is then as long as the video; `duck` makes the soundtrack give
    way to speech in it.

    Gains are dB, -60 to 20: `original_gain` is that of the video's own sound (with `mix`), `gain` that of the
    soundtrack. `fade_in` and `fade_out` are seconds of the result; `start` seconds of the audio file to leave out;
    `delay` seconds of the video before the soundtrack begins; `loop` begins it anew until the video ends. `loudness` is
    that of the result, -40 to -5 LUFS (EBU R 128), as it is when None.
    """

    mix: bool = False
    original_gain: float | None = None
    gain: float | None = None
    duck: bool = False
    fade_in: float | None = None
    fade_out: float | None = None
    loop: bool = False
    start: float | None = None
    delay: float | None = None
    loudness: float | None = None


Preset = Literal["classic", "bold", "box", "karaoke"]
Position = Literal["bottom-left", "bottom", "bottom-right", "left", "center", "right", "top-left", "top", "top-right"]


@dataclass(frozen=True, kw_only=True)
class CaptionStyle:
    """What is None follows from the preset, "classic" when that is None too.

    `size` (of a line of letters, 1 to 40) and `outline` (0 to 5) are percent of the smaller side of the picture,
    `margin_x` and `margin_y` (0 to 45) of its width and height. A color is "#RRGGBB" or "#RRGGBBAA" (AA is opacity).
    `font` is the family of a font that the encoder has, or of the one that is sent. `x` and `y`, 0 to 1, are the centre
    of the captions in place of `position`. `highlight_color` is that of a word while it is said: karaoke.
    """

    preset: Preset | None = None
    font: str | None = None
    size: float | None = None
    color: str | None = None
    outline_color: str | None = None
    outline: float | None = None
    box_color: str | None = None
    highlight_color: str | None = None
    bold: bool | None = None
    italic: bool | None = None
    capitals: bool | None = None
    position: Position | None = None
    x: float | None = None
    y: float | None = None
    margin_x: float | None = None
    margin_y: float | None = None


class Status(StrEnum):
    """Where a job stands, by the names of the JSON surface."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

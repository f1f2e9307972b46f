"""The look of captions."""

from dataclasses import dataclass
from typing import Literal

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

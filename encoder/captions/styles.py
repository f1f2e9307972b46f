"""Styles of captions: the presets, and what a request changes of one."""

import re
from collections.abc import Mapping
from typing import Any

from apigpu.v1 import caption_style_pb2
from servicekit.errors import InvalidArgument

Style = caption_style_pb2.CaptionStyle
COLOR = re.compile("#([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})?")
FONT = re.compile(r"[^\s@,{}\\\x00-\x1f][^,{}\\\x00-\x1f]{0,99}")
# Percent of the size of letters.
WHOLE = 100

CLASSIC = Style(
    size=6.25,
    color="#FFFFFF",
    outline_color="#101010",
    outline=6.25 / 14,
    position=Style.POSITION_BOTTOM,
    margin_x=5,
    margin_y=5,
)
BOLD: Mapping[str, Any] = {"size": 8, "outline": 0.8, "bold": True, "capitals": True}
PRESETS: Mapping[int, Style] = {
    Style.PRESET_UNSPECIFIED: Style(),
    Style.PRESET_CLASSIC: Style(),
    Style.PRESET_BOLD: Style(**BOLD),
    Style.PRESET_BOX: Style(outline=0, box_color="#000000B0"),
    Style.PRESET_KARAOKE: Style(**BOLD, highlight_color="#FFD400"),
    Style.PRESET_WORD: Style(size=11, outline=1, bold=True, capitals=True),
    Style.PRESET_POP: Style(**BOLD, highlight_color="#FFD400", highlight_scale=118),
    Style.PRESET_UNDERLINE: Style(**BOLD, highlight_underline=True),
    Style.PRESET_ROUNDED: Style(outline=0, box_color="#000000B0", box_radius=1.6),
    Style.PRESET_SHADOW: Style(outline=0, shadow=0.55, shadow_color="#000000D0"),
}
"""What each preset changes of CLASSIC."""
COLORS = ("color", "outline_color", "box_color", "highlight_color", "shadow_color")


def complete_style(requested: Style) -> Style:
    """Return a style with all that the request leaves to its preset. Raises InvalidArgument, naming the field."""
    for name in COLORS:
        if (color := getattr(requested, name)) and not COLOR.fullmatch(color):
            raise _style_error(name, f"'{color}' is no color; give one like #FFCC00, or #FFCC0080 for half of it.")
    # A comma would end the field of the script, a leading @ turn the letters.
    if requested.font and not FONT.fullmatch(requested.font):
        raise _style_error("font", f"'{requested.font[:60]}' is no family name; give one like Open Sans.")
    if requested.HasField("x") != requested.HasField("y"):
        raise _style_error("x" if requested.HasField("y") else "y", "is missing: x and y go together.")
    style = Style()
    for part in (CLASSIC, PRESETS[requested.preset], requested):
        style.MergeFrom(part)
    if style.box_radius and not style.box_color:
        raise _style_error("box_radius", "there is no box; give box_color, or take the preset rounded.")
    if style.shadow and style.box_color and not style.box_radius:
        raise _style_error("shadow", "a square box has none; make its corners round by box_radius, or leave one out.")
    return style


def lights_up(style: Style) -> bool:
    """Return True for a style that shows which word is said."""
    return bool(style.highlight_color or style.highlight_scale > WHOLE or style.highlight_underline)


def is_laid_out(style: Style) -> bool:
    """Return True for a style whose lines are broken here, not by libass: words grow in them, or a box is drawn about
    them."""
    return bool(style.box_radius or style.highlight_scale > WHOLE)


def _style_error(name: str, text: str) -> InvalidArgument:
    return InvalidArgument.field(f"style.{name}", text)

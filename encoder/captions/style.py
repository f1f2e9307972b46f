"""Styles of captions: presets, and what a request changes of them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from apigpu.v1 import caption_style_pb2
from servicekit.errors import InvalidArgument

Message = caption_style_pb2.CaptionStyle
COLOR = re.compile("#([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})?")
FONT = re.compile(r"[^\s@,{}\\\x00-\x1f][^,{}\\\x00-\x1f]{0,99}")
BOTTOM = 2


@dataclass(frozen=True)
class Style:
    """The look of captions. Sizes are percent of the picture's smaller side, margins of its width and height; colors
    are "#RRGGBB" or "#RRGGBBAA" (AA is opacity), "" for none; `place` is 1 to 9 as on a keypad; `center` is x, y from 0
    to 1; `font` is a family, "" for the bundled one."""

    font: str = ""
    size: float = 6.25
    color: str = "#FFFFFF"
    outline_color: str = "#101010"
    outline: float = 6.25 / 14
    box_color: str = ""
    highlight_color: str = ""
    bold: bool = False
    italic: bool = False
    capitals: bool = False
    place: int = BOTTOM
    center: tuple[float, float] | None = None
    margin_x: float = 5.0
    margin_y: float = 5.0


CLASSIC = Style()
BOLD = Style(size=8, outline=0.8, bold=True, capitals=True)
PRESETS: Mapping[int, Style] = {
    Message.PRESET_UNSPECIFIED: CLASSIC,
    Message.PRESET_CLASSIC: CLASSIC,
    Message.PRESET_BOLD: BOLD,
    Message.PRESET_BOX: Style(outline=0, box_color="#000000B0"),
    Message.PRESET_KARAOKE: replace(BOLD, highlight_color="#FFD400"),
}
PLAIN = ("size", "outline", "bold", "italic", "capitals", "margin_x", "margin_y")
COLORS = ("color", "outline_color", "box_color", "highlight_color")


def parse(message: Message) -> Style:
    """Return the style of a request. Raises InvalidArgument, naming the field."""
    if message.preset not in PRESETS:
        raise _error("preset", f"{message.preset} is not known; give one of {', '.join(Message.Preset.keys())}.")
    if message.position not in Message.Position.values():
        raise _error("position", f"{message.position} is not known; give one of {', '.join(Message.Position.keys())}.")
    changes = {name: getattr(message, name) for name in PLAIN if message.HasField(name)}  # type: ignore[arg-type]
    changes |= {name: _color(name, getattr(message, name)) for name in COLORS if getattr(message, name)}
    if message.position:
        changes["place"] = message.position
    if message.font:
        changes["font"] = _font(message.font)
    if message.HasField("x") != message.HasField("y"):
        raise _error("x" if message.HasField("y") else "y", "is missing: x and y go together.")
    if message.HasField("x"):
        changes["center"] = (message.x, message.y)
    return replace(PRESETS[message.preset], **changes)


def with_font(style: Style, family: str) -> Style:
    """Return the same style in another family."""
    return replace(style, font=family)


def _color(name: str, value: str) -> str:
    if not COLOR.fullmatch(value):
        raise _error(name, f"'{value}' is no color; give one like #FFCC00, or #FFCC0080 for half of it.")
    return value


def _font(name: str) -> str:
    # A comma would end the field of the script, a leading @ turn the letters.
    if not FONT.fullmatch(name):
        raise _error("font", f"'{name[:60]}' is no family name; give one like Open Sans.")
    return name


def _error(name: str, text: str) -> InvalidArgument:
    return InvalidArgument.field(f"style.{name}", text)

"""Styles of captions: presets, what a request changes of them, and their line in an ASS script. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from apigpu.v1 import caption_style_pb2
from encoder.captions.fonts import FAMILY
from servicekit.errors import InvalidArgument

Message = caption_style_pb2.CaptionStyle
COLOR = re.compile("#([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})?")
FONT = re.compile(r"[^\s@,{}\\\x00-\x1f][^,{}\\\x00-\x1f]{0,99}")
BOTTOM = 2
SHADOW = "#0000007F"
# libass then tells by its first letter which way a line runs.
ANY_DIRECTION = -1
LINE_FIELDS = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    "StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, "
    "Encoding"
)


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

    def line(self, width: int, height: int) -> str:
        """Return the line of the style in a script for a picture of `width` × `height` pixels, by LINE_FIELDS."""
        side = min(width, height)
        size = max(side * self.size / 100, 8)
        # Never finer than the letters of a tiny picture, which have a least size, call for.
        outline = self.outline * size / self.size
        margin_x, margin_y = round(width * self.margin_x / 100), round(height * self.margin_y / 100)
        colors = ",".join(map(_abgr, (self.color, self.color, self.outline_color, self.box_color or SHADOW)))
        bold, italic = -1 if self.bold else 0, -1 if self.italic else 0
        # 4 is libass's own: one box about all lines, its room given by the shadow.
        border, shadow = (4, size / 5) if self.box_color else (1, size / 28)
        return (
            f"Style: Default,{self.font or FAMILY},{size:.1f},{colors},{bold},{italic},0,0,100,100,0,0,"
            f"{border},{outline:.2f},{shadow:.2f},{self.place},{margin_x},{margin_x},{margin_y},{ANY_DIRECTION}"
        )

    def position_tag(self, width: int, height: int) -> str:
        """Return the tag that puts every cue at `center`; "" where that is not given."""
        if self.center is None:
            return ""
        x, y = self.center
        return f"{{\\an5\\pos({x * width:.1f},{y * height:.1f})}}"


CLASSIC = Style()
BOLD = Style(size=8, outline=0.8, bold=True, capitals=True)
PRESETS: Mapping[int, Style] = {
    Message.PRESET_UNSPECIFIED: CLASSIC,
    Message.PRESET_CLASSIC: CLASSIC,
    Message.PRESET_BOLD: BOLD,
    Message.PRESET_BOX: Style(outline=0, box_color="#000000B0"),
    Message.PRESET_KARAOKE: replace(BOLD, highlight_color="#FFD400"),
}
# Options that go into the style as they are.
PLAIN = {each.name for each in fields(Style)} & {each.name for each in Message.DESCRIPTOR.fields if each.has_presence}
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


def color_tag(color: str) -> str:
    """Return the tag that colors the letters after it."""
    return f"{{\\1c&H{_abgr(color)[4:]}&}}"


def _abgr(color: str) -> str:
    """Return a color as ASS has it: backwards, and with transparency in place of opacity."""
    match = COLOR.fullmatch(color)
    assert match is not None
    red, green, blue, opacity = match.groups(default="FF")
    return f"&H{255 - int(opacity, 16):02X}{blue}{green}{red}".upper()


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

"""Writer of ASS scripts: cues in a style, with nothing of their text but words.

ASS text can switch fonts, move, draw and blank the picture. So every brace and backslash of a cue is shown as it is.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apigpu.v1 import caption_style_pb2
from encoder.captions.fonts import FAMILY
from encoder.captions.formats import MARK, Cue, Place
from encoder.captions.formats.cue import ANYWHERE, WORD_JOINER
from encoder.captions.karaoke import Word
from encoder.captions.lettering import Lettering
from encoder.captions.stacking import Event, stack
from servicekit.errors import InvalidArgument

Style = caption_style_pb2.CaptionStyle
COLOR = re.compile("#([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})?")
FONT = re.compile(r"[^\s@,{}\\\x00-\x1f][^,{}\\\x00-\x1f]{0,99}")
SHADOW = "#0000007F"
# libass then tells by its first letter which way a line runs.
ANY_DIRECTION = -1
LINE_FIELDS = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    "StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, "
    "Encoding"
)
EVENT_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"

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
}
"""What each preset changes of CLASSIC."""
PLAIN = Lettering(frozenset())
COLORS = ("color", "outline_color", "box_color", "highlight_color")
# A point near the edge of the picture leaves its captions this share of the width all the same: they move inwards.
LEAST_ROOM = 0.25


@dataclass(frozen=True)
class Dimensions:
    """The sizes of a style in a picture, in square pixels: `size` is the height of a line of letters, `edge` how far
    what is drawn reaches beyond the letters, `center` the point that captions stand about, if the style names one."""

    width: int
    height: int
    size: float
    outline: float
    shadow: float
    edge: int
    margin_x: int
    margin_y: int
    center: tuple[float, float] | None

    @property
    def room(self) -> int:
        """The room for a line."""
        return self.width - 2 * self.margin_x


@dataclass(frozen=True)
class Placement:
    """How a cue differs from its style: letters of `scale` times the size, and the height of its middle in pixels where
    it stands about a point."""

    scale: float = 1.0
    middle: float | None = None


AS_STYLED = Placement()


@dataclass(frozen=True)
class PlacedCue:
    """A cue, its words where they light up (karaoke), and how it is placed."""

    cue: Cue
    words: Sequence[Word] = ()
    placement: Placement = AS_STYLED


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
    return style


def _style_error(name: str, text: str) -> InvalidArgument:
    return InvalidArgument.field(f"style.{name}", text)


def write_script(
    cues: Iterable[PlacedCue], width: int, height: int, style: Style = CLASSIC, lettering: Lettering = PLAIN
) -> str:
    """Return the script for a picture that is shown as `width` × `height` square pixels; sizes follow its smaller side.
    `lettering` tells which font draws what.

    PlayRes has the shape of the picture, as libass would stretch sizes otherwise. LayoutRes says that these are square
    pixels, so that text keeps its shape on pixels that are not.
    """
    look = dimensions(style, width, height)
    head = [
        "[Script Info]",
        "ScriptType: v4.00+",
        f"PlayResX: {width}",
        f"PlayResY: {height}",
        f"LayoutResX: {width}",
        f"LayoutResY: {height}",
        "WrapStyle: 0",
        "ScaledBorderAndShadow: yes",
        "Kerning: yes",
        "YCbCr Matrix: None",
        "",
        "[V4+ Styles]",
        f"Format: {LINE_FIELDS}",
        _style_line(style, look),
        "",
        "[Events]",
        f"Format: {EVENT_FIELDS}",
    ]
    events: dict[tuple[str, str], list[Event]] = {}
    # Those that began first stand above.
    for rank, one in enumerate(sorted(cues, key=lambda one: one.cue.start_ms)):
        shown = _karaoke(one.cue, one.words, style) if style.highlight_color else _still(one, style)
        sizes = _sizes(look, one.placement)
        events.setdefault(_position(one, style, look), []).extend(
            Event(start, end, rank, sizes + lettering.tag_fonts(text)) for start, end, text in shown
        )
    lines = (_event(event, position) for position, some in events.items() for event in stack(some))
    return "\n".join([*head, *lines, ""])


def dimensions(style: Style, width: int, height: int) -> Dimensions:
    """Return the sizes of a style in a picture of `width` × `height` square pixels."""
    size = max(min(width, height) * style.size / 100, 8)
    # Never finer than the letters of a tiny picture, which have a least size, call for.
    outline = style.outline * size / style.size
    # A box has its room from the shadow.
    shadow = size / 5 if style.box_color else size / 28
    edge = math.ceil(outline + shadow)
    margin_x, margin_y = (
        max(round(side * margin / 100), edge) for side, margin in ((width, style.margin_x), (height, style.margin_y))
    )
    center = None
    if style.HasField("x"):
        half = max(min(style.x, 1 - style.x), LEAST_ROOM / 2) * width
        margin_x = max(margin_x, math.ceil(width / 2 - half) + edge)
        center = min(max(style.x * width, half), width - half), style.y * height
    return Dimensions(width, height, size, outline, shadow, edge, margin_x, margin_y, center)


def _style_line(style: Style, look: Dimensions) -> str:
    """Return the line of a style, by LINE_FIELDS."""
    colors = ",".join(map(_abgr, (style.color, style.color, style.outline_color, style.box_color or SHADOW)))
    bold, italic = -1 if style.bold else 0, -1 if style.italic else 0
    # 4 is libass's own: one box about all lines.
    border = 4 if style.box_color else 1
    return (
        f"Style: Default,{style.font or FAMILY},{look.size:.1f},{colors},{bold},{italic},0,0,100,100,0,0,"
        f"{border},{look.outline:.2f},{look.shadow:.2f},{style.position},{look.margin_x},{look.margin_x},"
        f"{look.margin_y},{ANY_DIRECTION}"
    )


def room_at(place: Place, style: Style, look: Dimensions) -> float:
    """Return the room for a line of a caption that stands at a place."""
    if look.center is not None:
        return look.room
    if place.point is None:
        return look.width - sum(max(look.margin_x, round(look.width * share)) for share in (place.left, place.right))
    across, column = place.point[0], _alignment(place, style) % 3
    share = {0: across, 1: 1 - across, 2: 2 * min(across, 1 - across)}[column]
    return max(share, LEAST_ROOM) * look.width - 2 * look.edge


def _alignment(place: Place, style: Style) -> int:
    """Return where a caption stands as on the digits of a keyboard."""
    row, column = divmod(style.position - 1, 3)
    return (row if place.row is None else place.row) * 3 + (column if place.column is None else place.column) + 1


def _position(one: PlacedCue, style: Style, look: Dimensions) -> tuple[str, str]:
    """Return where a cue stands: the fields of margins in its event, of which 0 stands for that of the style, and the
    tags before its text. A point of the style goes before a place in the file."""
    place = one.cue.place
    if look.center is not None:
        x, y = look.center
        return "0,0,0", f"{{\\an5\\pos({x:.1f},{y if one.placement.middle is None else one.placement.middle:.1f})}}"
    if place == ANYWHERE:
        return "0,0,0", ""
    alignment = _alignment(place, style)
    if place.point is not None:
        # Captions at the edge move inwards.
        room = round(room_at(place, style, look)) + 2 * look.edge
        before = {0: room, 1: 0, 2: room / 2}[alignment % 3]
        x, y = place.point[0] * look.width, place.point[1] * look.height
        x = min(max(x, before), look.width - room + before)
        return f"{look.edge},{look.width - room + look.edge},0", f"{{\\an{alignment}\\pos({x:.1f},{y:.1f})}}"
    shares = ((place.left, look.width), (place.right, look.width), (place.vertical, look.height))
    least_margins = (look.margin_x, look.margin_x, look.margin_y)
    margins = (round(share * side) for share, side in shares)
    shown = (margin if margin > least else 0 for margin, least in zip(margins, least_margins, strict=True))
    return ",".join(map(str, shown)), f"{{\\an{alignment}}}"


def _sizes(look: Dimensions, placement: Placement) -> str:
    """Return the tags that make a cue smaller; "" where the style alone tells its size."""
    if placement.scale == 1:
        return ""
    sizes = {"fs": look.size, "bord": look.outline, "shad": look.shadow}
    return "{" + "".join(f"\\{tag}{value * placement.scale:.2f}" for tag, value in sizes.items()) + "}"


def _abgr(color: str) -> str:
    """Return a color as ASS has it: backwards, and with transparency in place of opacity."""
    match = COLOR.fullmatch(color)
    assert match is not None
    red, green, blue, opacity = match.groups(default="FF")
    return f"&H{255 - int(opacity, 16):02X}{blue}{green}{red}".upper()


def _color_tag(color: str) -> str:
    """Return the tag that colors the letters after it."""
    return f"{{\\1c&H{_abgr(color)[4:]}&}}"


def to_ass(words: str, style: Style = CLASSIC, *, colors: bool = True) -> str:
    """Return a cue's text as ASS text: known marks kept, of color if `colors`; line ends as \\N, all else as it is."""
    parts, position = [], 0
    open_colors = [style.color]
    for match in MARK.finditer(words):
        parts += [
            _plain(words[position : match.start()]),
            _mark(match, open_colors, style, colors=colors),
        ]
        position = match.end()
    parts.append(_plain(words[position:]))
    return "".join(parts)


def _event(event: Event, position: tuple[str, str]) -> str:
    margins, commands = position
    times = f"{_clock(event.start_ms)},{_clock(event.end_ms)}"
    return f"Dialogue: 0,{times},Default,,{margins},,{commands}{event.text}"


def _still(one: PlacedCue, style: Style) -> list[tuple[int, int, str]]:
    return [(one.cue.start_ms, one.cue.end_ms, to_ass(one.cue.text, style))]


def _karaoke(cue: Cue, words: Sequence[Word], style: Style) -> Iterator[tuple[int, int, str]]:
    """Yield a cue with one word after the other in another color; between two words none is."""
    unlit = to_ass(cue.text, style, colors=False)
    until = cue.start_ms
    for word in words:
        if word.start_ms > until:
            yield until, word.start_ms, unlit
        if word.end_ms > max(word.start_ms, until):
            yield max(word.start_ms, until), word.end_ms, _highlight(cue.text, word, style)
        until = max(until, word.end_ms)
    if until < cue.end_ms:
        yield until, cue.end_ms, unlit


def _highlight(words: str, word: Word, style: Style) -> str:
    parts = words[: word.first], words[word.first : word.end], words[word.end :]
    before, said, after = (to_ass(part, style, colors=False) for part in parts)
    return f"{before}{_color_tag(style.highlight_color)}{said}{_color_tag(style.color)}{after}"


def _mark(match: re.Match[str], open_colors: list[str], style: Style, *, colors: bool) -> str:
    """Return a mark as ASS; `open_colors` are the colors of open marks, the innermost last."""
    closing, tag = match["closing"], match["tag"]
    if tag != "font":
        # What the style has stays when a mark ends.
        is_on = not closing or (style.bold if tag == "b" else style.italic if tag == "i" else False)
        return f"{{\\{tag}{1 if is_on else 0}}}"
    if not colors:
        return ""
    if not closing:
        open_colors.append(match["color"] or open_colors[-1])
    elif len(open_colors) > 1:
        open_colors.pop()
    return _color_tag(open_colors[-1])


def _plain(words: str) -> str:
    # libass has no escape for a backslash: a word joiner after it keeps it from starting a command.
    shown = words.replace("\\", f"\\{WORD_JOINER}").replace("{", "\\{").replace("}", "\\}")
    return shown.replace("\r", "").replace("\n", "\\N")


def _clock(milliseconds: int) -> str:
    centiseconds = (milliseconds + 5) // 10
    seconds, hundredths = divmod(centiseconds, 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{hundredths:02}"

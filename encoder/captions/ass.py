"""Writer of ASS scripts: cues in a style, with nothing of their text but words.

ASS text can switch fonts, move, draw and blank the picture. So every brace and backslash of a cue is shown as it is.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from encoder.captions import boxes
from encoder.captions.fonts import FAMILY
from encoder.captions.formats import MARK, Cue, Place
from encoder.captions.formats.cue import ANYWHERE, WORD_JOINER
from encoder.captions.karaoke import Word
from encoder.captions.lettering import Lettering
from encoder.captions.stacking import LINE_END, Event, stack
from encoder.captions.styles import CLASSIC, COLOR, WHOLE, Style, is_laid_out, lights_up

SHADOW = "#0000007F"
# libass then tells by its first letter which way a line runs.
ANY_DIRECTION = -1
LINE_FIELDS = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    "StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, "
    "Encoding"
)
EVENT_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"

PLAIN = Lettering(frozenset())
# A point near the edge of the picture leaves its captions this share of the width all the same: they move inwards.
LEAST_ROOM = 0.25
# A word that grows does so in so many milliseconds.
GROWING_MS = 90
UNBROKEN = "{\\q2}"


@dataclass(frozen=True)
class Dimensions:
    """The sizes of a style in a picture, in square pixels: `size` is the height of a line of letters, `edge` how far
    what is drawn reaches beyond the letters, `radius` that of the corners of the box, `center` the point that captions
    stand about, if the style names one."""

    width: int
    height: int
    size: float
    outline: float
    shadow: float
    edge: int
    margin_x: int
    margin_y: int
    radius: float
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
    """A cue, its words where they light up (karaoke), how it is placed, and where it is laid out line by line how wide
    and high it is, in pixels."""

    cue: Cue
    words: Sequence[Word] = ()
    placement: Placement = AS_STYLED
    extent: tuple[float, float] = (0.0, 0.0)


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
    shows_words, unbroken = lights_up(style), UNBROKEN if is_laid_out(style) else ""
    usual = _position(PlacedCue(Cue(0, 0, "")), style, look)
    events: dict[Position, list[Event]] = {}
    # Those that began first stand above.
    for rank, one in enumerate(sorted(cues, key=lambda one: one.cue.start_ms)):
        shown = _karaoke(one.cue, one.words, style) if shows_words else _still(one, style)
        sizes = _sizes(look, one.placement) + unbroken
        is_usual = one.cue.place is ANYWHERE and look.center is None
        events.setdefault(usual if is_usual else _position(one, style, look), []).extend(
            Event(start, end, rank, sizes + lettering.tag_fonts(text), *one.extent) for start, end, text in shown
        )
    stacked = ((event, position) for position, some in events.items() for event in stack(some))
    lines = (line for event, position in stacked for line in _drawn(event, position, style, look))
    return "\n".join([*head, *lines, ""])


def dimensions(style: Style, width: int, height: int) -> Dimensions:
    """Return the sizes of a style in a picture of `width` × `height` square pixels."""
    size = max(min(width, height) * style.size / 100, 8)
    # Never finer than the letters of a tiny picture, which have a least size, call for.
    outline = style.outline * size / style.size
    # A square box has its room from the shadow.
    is_square, is_round = bool(style.box_color and not style.box_radius), bool(style.box_radius)
    shadow = size / 5 if is_square else 0.0 if is_round else size / 28
    if style.HasField("shadow") and not is_square:
        shadow = style.shadow * size / style.size
    edge = math.ceil(outline + (boxes.PADDING_X * size if is_round else shadow))
    margin_x, margin_y = (
        max(round(side * margin / 100), edge) for side, margin in ((width, style.margin_x), (height, style.margin_y))
    )
    center = None
    if style.HasField("x"):
        half = max(min(style.x, 1 - style.x), LEAST_ROOM / 2) * width
        margin_x = max(margin_x, math.ceil(width / 2 - half) + edge)
        center = min(max(style.x * width, half), width - half), style.y * height
    radius = min(style.box_radius * size / style.size, size / 2)
    return Dimensions(width, height, size, outline, shadow, edge, margin_x, margin_y, radius, center)


def _style_line(style: Style, look: Dimensions) -> str:
    """Return the line of a style, by LINE_FIELDS."""
    is_boxed = style.box_color and not style.box_radius
    behind = style.box_color if is_boxed else style.shadow_color or SHADOW
    colors = ",".join(map(_abgr, (style.color, style.color, style.outline_color, behind)))
    bold, italic = -1 if style.bold else 0, -1 if style.italic else 0
    # 4 is libass's own: one box about all lines.
    border = 4 if is_boxed else 1
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


class Position(NamedTuple):
    """Where a cue stands: the fields of margins in its event, of which 0 stands for that of the style, and the tags
    before its text; and what that comes to: the point by which it is aligned as on the digits of a keyboard."""

    margins: str
    commands: str
    alignment: int
    x: float
    y: float


def _position(one: PlacedCue, style: Style, look: Dimensions) -> Position:
    """Return where a cue stands. A point of the style goes before a place in the file."""
    place = one.cue.place
    if look.center is not None:
        x, y = look.center
        y = y if one.placement.middle is None else one.placement.middle
        return Position("0,0,0", f"{{\\an5\\pos({x:.1f},{y:.1f})}}", 5, x, y)
    alignment = _alignment(place, style)
    if place.point is not None:
        # Captions at the edge move inwards.
        room = round(room_at(place, style, look)) + 2 * look.edge
        before = {0: room, 1: 0, 2: room / 2}[alignment % 3]
        x, y = place.point[0] * look.width, place.point[1] * look.height
        x = min(max(x, before), look.width - room + before)
        margins = f"{look.edge},{look.width - room + look.edge},0"
        return Position(margins, f"{{\\an{alignment}\\pos({x:.1f},{y:.1f})}}", alignment, x, y)
    least_margins = (look.margin_x, look.margin_x, look.margin_y)
    shares = ((place.left, look.width), (place.right, look.width), (place.vertical, look.height))
    kept = [max(round(share * side), least) for (share, side), least in zip(shares, least_margins, strict=True)]
    left, right, vertical = kept
    x = (look.width - right, left, (left + look.width - right) / 2)[alignment % 3]
    y = (look.height - vertical, look.height / 2, vertical)[(alignment - 1) // 3]
    shown = (margin if margin > least else 0 for margin, least in zip(kept, least_margins, strict=True))
    commands = "" if place == ANYWHERE else f"{{\\an{alignment}}}"
    return Position(",".join(map(str, shown)), commands, alignment, x, y)


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
    return f"{{{_color(color)}}}"


def _color(color: str) -> str:
    return f"\\1c&H{_abgr(color)[4:]}&"


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


def _drawn(event: Event, position: Position, style: Style, look: Dimensions) -> Iterator[str]:
    """Yield the lines of an event: a box with round corners below its text, if the style has one."""
    times = f"{_clock(event.start_ms)},{_clock(event.end_ms)}"
    layer = 1 if style.box_radius else 0
    if style.box_radius:
        anchor = position.alignment, position.x, position.y
        extent = event.width, event.height
        box = boxes.draw(*anchor, *extent, look.size, look.radius, _abgr(style.box_color))
        yield f"Dialogue: 0,{times},Default,,0,0,0,,{box}"
    yield f"Dialogue: {layer},{times},Default,,{position.margins},,{position.commands}{event.text}"


def _still(one: PlacedCue, style: Style) -> list[tuple[int, int, str]]:
    return [(one.cue.start_ms, one.cue.end_ms, to_ass(one.cue.text, style))]


def _karaoke(cue: Cue, words: Sequence[Word], style: Style) -> Iterator[tuple[int, int, str]]:
    """Yield a cue with one word after the other in another color; between two words none is."""
    unlit = _strutted(_strut(style) + to_ass(cue.text, style, colors=False), style)
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
    before, after = _strutted(_strut(style) + before, style), _strutted(after, style)
    begin, end = _highlight_tags(style, before)
    return f"{before}{{{begin}}}{said}{{{end}}}{after}"


def _strut(style: Style) -> str:
    """Return what makes a line as high as with a word that has grown, so that no line moves; "" where none grows."""
    if style.highlight_scale <= WHOLE:
        return ""
    return f"{{\\fscx1\\fscy{style.highlight_scale:g}}}\\h{{\\fscx{WHOLE}\\fscy{WHOLE}}}"


def _strutted(text: str, style: Style) -> str:
    return text.replace(LINE_END, LINE_END + _strut(style)) if style.highlight_scale > WHOLE else text


def _highlight_tags(style: Style, before: str) -> tuple[str, str]:
    """Return the tags that begin and end the look of a word while it is said, after some text of its caption."""
    begin = end = ""
    if style.highlight_color:
        begin, end = _color(style.highlight_color), _color(style.color)
    if style.highlight_scale > WHOLE:
        scale = f"\\fscx{style.highlight_scale:g}\\fscy{style.highlight_scale:g}"
        begin += f"\\t(0,{GROWING_MS},{scale})"
        end += f"\\fscx{WHOLE}\\fscy{WHOLE}"
    if style.highlight_underline:
        is_underlined = before.rfind("\\u1") > before.rfind("\\u0")
        begin, end = begin + "\\u1", end + ("\\u1" if is_underlined else "\\u0")
    return begin, end


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

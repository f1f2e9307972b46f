"""Writer of ASS scripts: cues in a style, with nothing of their text but words.

ASS text can switch fonts, move, draw and blank the picture. So every brace and backslash of a cue is shown as it is.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    cues: Sequence[Cue],
    width: int,
    height: int,
    style: Style = CLASSIC,
    words: Iterable[Sequence[Word]] = itertools.repeat(()),
    lettering: Lettering = PLAIN,
) -> str:
    """Return the script for a picture that is shown as `width` × `height` square pixels; sizes follow its smaller side.
    `words` are the words of each cue, where they light up (karaoke); `lettering` tells which font draws what.

    PlayRes has the shape of the picture, as libass would stretch sizes otherwise. LayoutRes says that these are square
    pixels, so that text keeps its shape on pixels that are not.
    """
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
        _style_line(style, width, height),
        "",
        "[Events]",
        f"Format: {EVENT_FIELDS}",
    ]
    positions = [_position(cue.place, style, width, height) for cue in cues]
    events: dict[tuple[str, str], list[Event]] = {position: [] for position in positions}
    ranks = _ranks(cues)
    for cue, position, rank, timed in zip(cues, positions, ranks, words, strict=False):
        shown = _karaoke(cue, timed, style) if style.highlight_color else [_still(cue, style)]
        events[position] += [Event(start, end, rank, lettering.tag_fonts(text)) for start, end, text in shown]
    lines = (_event(event, position) for position, some in events.items() for event in stack(some))
    return "\n".join([*head, *lines, ""])


def _ranks(cues: Sequence[Cue]) -> list[int]:
    """Return the place of each cue in the order in which they begin."""
    ranks = [0] * len(cues)
    for rank, number in enumerate(sorted(range(len(cues)), key=lambda number: cues[number].start_ms)):
        ranks[number] = rank
    return ranks


def _position(place: Place, style: Style, width: int, height: int) -> tuple[str, str]:
    """Return where a caption stands: the fields of margins in its event, and the commands before its text."""
    own = "0,0,0"
    # A style that says so puts every cue at one point.
    if style.HasField("x"):
        return own, f"{{\\an5\\pos({style.x * width:.1f},{style.y * height:.1f})}}"
    if place == ANYWHERE:
        return own, ""
    row, column = divmod(style.position - 1, 3)
    alignment = (row if place.row is None else place.row) * 3 + (column if place.column is None else place.column) + 1
    if place.point is not None:
        across, down = place.point
        return own, f"{{\\an{alignment}\\pos({across * width:.1f},{down * height:.1f})}}"
    shares = ((place.left, style.margin_x), (place.right, style.margin_x), (place.vertical, style.margin_y))
    # 0 stands for the margin of the style.
    margins = (
        round(side * share) if share > least / 100 else 0
        for side, (share, least) in zip((width, width, height), shares, strict=True)
    )
    return ",".join(map(str, margins)), f"{{\\an{alignment}}}"


def _style_line(style: Style, width: int, height: int) -> str:
    """Return the line of a style in a script for a picture of `width` × `height` pixels, by LINE_FIELDS."""
    side = min(width, height)
    size = max(side * style.size / 100, 8)
    # Never finer than the letters of a tiny picture, which have a least size, call for.
    outline = style.outline * size / style.size
    margin_x, margin_y = round(width * style.margin_x / 100), round(height * style.margin_y / 100)
    colors = ",".join(map(_abgr, (style.color, style.color, style.outline_color, style.box_color or SHADOW)))
    bold, italic = -1 if style.bold else 0, -1 if style.italic else 0
    # 4 is libass's own: one box about all lines, its room given by the shadow.
    border, shadow = (4, size / 5) if style.box_color else (1, size / 28)
    return (
        f"Style: Default,{style.font or FAMILY},{size:.1f},{colors},{bold},{italic},0,0,100,100,0,0,"
        f"{border},{outline:.2f},{shadow:.2f},{style.position},{margin_x},{margin_x},{margin_y},{ANY_DIRECTION}"
    )


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
            _plain(words[position : match.start()], capitals=style.capitals),
            _mark(match, open_colors, colors=colors),
        ]
        position = match.end()
    parts.append(_plain(words[position:], capitals=style.capitals))
    return "".join(parts)


def _event(event: Event, position: tuple[str, str]) -> str:
    margins, commands = position
    times = f"{_clock(event.start_ms)},{_clock(event.end_ms)}"
    return f"Dialogue: 0,{times},Default,,{margins},,{commands}{event.text}"


def _still(cue: Cue, style: Style) -> tuple[int, int, str]:
    return cue.start_ms, cue.end_ms, to_ass(cue.text, style)


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


def _mark(match: re.Match[str], open_colors: list[str], *, colors: bool) -> str:
    """Return a mark as ASS; `open_colors` are the colors of open marks, the innermost last."""
    closing, tag = match["closing"], match["tag"]
    if tag != "font":
        return f"{{\\{tag}{0 if closing else 1}}}"
    if not colors:
        return ""
    if not closing:
        open_colors.append(match["color"] or open_colors[-1])
    elif len(open_colors) > 1:
        open_colors.pop()
    return _color_tag(open_colors[-1])


def _plain(words: str, *, capitals: bool) -> str:
    if capitals:
        words = words.upper()
    # libass has no escape for a backslash: a word joiner after it keeps it from starting a command.
    shown = words.replace("\\", f"\\{WORD_JOINER}").replace("{", "\\{").replace("}", "\\}")
    return shown.replace("\r", "").replace("\n", "\\N")


def _clock(milliseconds: int) -> str:
    centiseconds = (milliseconds + 5) // 10
    seconds, hundredths = divmod(centiseconds, 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{hundredths:02}"

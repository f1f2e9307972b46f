"""Captions as an ASS script of our own making: the style that is burned in, and nothing of the cue's text but words.

ASS text can switch fonts, move, draw and blank the picture. So every brace and backslash of a cue is shown as it is,
save for SubRip's `<i>`, `<b>`, `<u>` and the `{\\an1}` to `{\\an9}` that place a caption.
"""

import re
from collections.abc import Iterator, Sequence

from encoder import karaoke
from encoder.fonts import FAMILY
from encoder.style import CLASSIC, COLOR, Style
from encoder.subtitles import Cue

TAG = re.compile(r"<(/?)([ibu])>|</?font[^<>]*>|\{\\(an[1-9])\}", re.IGNORECASE)
# libass has no escape for a backslash: a word joiner after it keeps it from starting a command.
WORD_JOINER = "\u2060"
SHADOW = "#0000007F"

STYLE_FIELDS = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    "StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, "
    "Encoding"
)
EVENT_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"


def script(cues: Sequence[Cue], width: int, height: int, style: Style = CLASSIC) -> str:
    """The script for a picture that is shown as `width` × `height` square pixels; sizes follow its smaller side.

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
        "YCbCr Matrix: None",
        "",
        "[V4+ Styles]",
        f"Format: {STYLE_FIELDS}",
        _style(width, height, style),
        "",
        "[Events]",
        f"Format: {EVENT_FIELDS}",
    ]
    placed = _placed(width, height, style)
    events = [_event(start, end, placed + words) for cue in cues for start, end, words in _said(cue, style)]
    return "\n".join([*head, *events, ""])


def text(words: str, *, capitals: bool = False) -> str:
    """A cue's text as ASS text: known marks kept, line ends as \\N, all else shown as it stands."""
    parts, position = [], 0
    for match in TAG.finditer(words):
        parts += [_plain(words[position : match.start()], capitals=capitals), _mark(match)]
        position = match.end()
    parts.append(_plain(words[position:], capitals=capitals))
    return "".join(parts)


def _event(start_ms: int, end_ms: int, words: str) -> str:
    return f"Dialogue: 0,{_clock(start_ms)},{_clock(end_ms)},Default,,0,0,0,,{words}"


def _said(cue: Cue, style: Style) -> Iterator[tuple[int, int, str]]:
    """What of a cue is shown from when to when: all of it, or with one word after the other in another color."""
    if not style.highlight_color:
        yield cue.start_ms, cue.end_ms, text(cue.text, capitals=style.capitals)
        return
    for word in karaoke.words(cue):
        before, said, after = cue.text[: word.first], cue.text[word.first : word.end], cue.text[word.end :]
        before, said, after = (text(part, capitals=style.capitals) for part in (before, said, after))
        lit, unlit = (f"{{\\1c{_bgr(color)}}}" for color in (style.highlight_color, style.color))
        yield word.start_ms, word.end_ms, f"{before}{lit}{said}{unlit}{after}"


def _placed(width: int, height: int, style: Style) -> str:
    if style.centre is None:
        return ""
    x, y = style.centre
    return f"{{\\an5\\pos({x * width:.1f},{y * height:.1f})}}"


def _style(width: int, height: int, style: Style) -> str:
    side = min(width, height)
    size = max(side * style.size / 100, 8)
    # Never finer than the letters of a tiny picture, which have a least size, call for.
    outline = style.outline * size / style.size
    margin_x, margin_y = round(width * style.margin_x / 100), round(height * style.margin_y / 100)
    colours = ",".join(map(_abgr, (style.color, style.color, style.outline_color, style.box_color or SHADOW)))
    bold, italic = -1 if style.bold else 0, -1 if style.italic else 0
    # 4 is libass's own: one box about all lines, its room given by the shadow.
    border, shadow = (4, size / 5) if style.box_color else (1, size / 28)
    return (
        f"Style: Default,{FAMILY},{size:.1f},{colours},{bold},{italic},0,0,100,100,0,0,{border},{outline:.2f},"
        f"{shadow:.2f},{style.place},{margin_x},{margin_x},{margin_y},1"
    )


def _abgr(color: str) -> str:
    """ASS writes colors backwards, and transparency in place of opacity."""
    match = COLOR.fullmatch(color)
    assert match is not None
    red, green, blue, opacity = match.groups(default="FF")
    return f"&H{255 - int(opacity, 16):02X}{blue}{green}{red}".upper()


def _bgr(color: str) -> str:
    return f"&H{_abgr(color)[4:]}&"


def _mark(match: re.Match[str]) -> str:
    closing, letter, place = match.groups()
    if place:
        return f"{{\\{place.lower()}}}"
    return f"{{\\{letter.lower()}{0 if closing else 1}}}" if letter else ""


def _plain(words: str, *, capitals: bool) -> str:
    if capitals:
        words = words.upper()
    shown = words.replace("\\", f"\\{WORD_JOINER}").replace("{", "\\{").replace("}", "\\}")
    return shown.replace("\r", "").replace("\n", "\\N")


def _clock(milliseconds: int) -> str:
    centiseconds = (milliseconds + 5) // 10
    seconds, hundredths = divmod(centiseconds, 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{hundredths:02}"

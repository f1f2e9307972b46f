"""Captions as an ASS script of our own making: the style that is burned in, and nothing of the cue's text but words.

ASS text can switch fonts, move, draw and blank the picture. So every brace and backslash of a cue is shown as it is,
save for SubRip's `<i>`, `<b>`, `<u>` and the `{\\an1}` to `{\\an9}` that place a caption.
"""

import re
from collections.abc import Sequence

from encoder.fonts import FAMILY
from encoder.subtitles import Cue

TAG = re.compile(r"<(/?)([ibu])>|</?font[^<>]*>|\{\\(an[1-9])\}", re.IGNORECASE)
# libass has no escape for a backslash: a word joiner after it keeps it from starting a command.
WORD_JOINER = "\u2060"

STYLE_FIELDS = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    "StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, "
    "Encoding"
)
EVENT_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"


def script(cues: Sequence[Cue], width: int, height: int) -> str:
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
        _style(width, height),
        "",
        "[Events]",
        f"Format: {EVENT_FIELDS}",
    ]
    events = [
        f"Dialogue: 0,{_clock(cue.start_ms)},{_clock(cue.end_ms)},Default,,0,0,0,,{text(cue.text)}" for cue in cues
    ]
    return "\n".join([*head, *events, ""])


def text(words: str) -> str:
    """A cue's text as ASS text: known marks kept, line ends as \\N, all else shown as it stands."""
    parts, position = [], 0
    for match in TAG.finditer(words):
        parts += [_plain(words[position : match.start()]), _mark(match)]
        position = match.end()
    parts.append(_plain(words[position:]))
    return "".join(parts)


def _style(width: int, height: int) -> str:
    side = min(width, height)
    size = max(side / 16, 8)
    margin_x, margin_y = round(width * 0.05), round(height * 0.05)
    colours = "&H00FFFFFF,&H00FFFFFF,&H00101010,&H80000000"
    return (
        f"Style: Default,{FAMILY},{size:.1f},{colours},0,0,0,0,100,100,0,0,1,{size / 14:.2f},{size / 28:.2f},2,"
        f"{margin_x},{margin_x},{margin_y},1"
    )


def _mark(match: re.Match[str]) -> str:
    closing, letter, place = match.groups()
    if place:
        return f"{{\\{place.lower()}}}"
    return f"{{\\{letter.lower()}{0 if closing else 1}}}" if letter else ""


def _plain(words: str) -> str:
    shown = words.replace("\\", f"\\{WORD_JOINER}").replace("{", "\\{").replace("}", "\\}")
    return shown.replace("\r", "").replace("\n", "\\N")


def _clock(milliseconds: int) -> str:
    centiseconds = (milliseconds + 5) // 10
    seconds, hundredths = divmod(centiseconds, 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{hundredths:02}"

"""Cue: the caption that all kinds of subtitles become, and SubRip's marks in its text: `<i>`, `<b>`, `<u>`, `<s>`,
`<font>` and `{\\an1}` to `{\\an9}`. Pure."""

import re
from dataclasses import dataclass

MARK = re.compile(r"<(?P<closing>/?)(?P<tag>[ibus]|font)(?P<rest>\s[^<>]*)?>|\{\\(?P<place>an[1-9])\}", re.IGNORECASE)
COLOR = re.compile(r"color\s*=\s*[\"']?\s*(#?\w+)", re.IGNORECASE)
HEX = re.compile("#?([0-9a-f]{6})", re.IGNORECASE)
# HTML 3.2 and the default classes of WebVTT, as RRGGBB.
NAMED = {
    "black": "000000",
    "silver": "C0C0C0",
    "gray": "808080",
    "grey": "808080",
    "white": "FFFFFF",
    "maroon": "800000",
    "red": "FF0000",
    "purple": "800080",
    "fuchsia": "FF00FF",
    "magenta": "FF00FF",
    "green": "008000",
    "lime": "00FF00",
    "olive": "808000",
    "yellow": "FFFF00",
    "orange": "FFA500",
    "navy": "000080",
    "blue": "0000FF",
    "teal": "008080",
    "aqua": "00FFFF",
    "cyan": "00FFFF",
}


class SubtitleError(ValueError):
    """A subtitle file cannot be used; the text names the cue and the line."""


@dataclass(frozen=True)
class Cue:
    """One caption: milliseconds from the start of the video, and its text with SubRip's marks; lines end in \\n.

    `word_times` are places in the text, in their order, and the milliseconds at which what follows is said."""

    start_ms: int
    end_ms: int
    text: str
    word_times: tuple[tuple[int, int], ...] = ()


def font_color(rest: str | None) -> str:
    """Return the color of a `<font …>` as "#RRGGBB", "" when it names none that is known."""
    match = COLOR.search(rest or "")
    if match is None:
        return ""
    value = NAMED.get(match[1].lower()) or (HEX.fullmatch(match[1]) or ["", ""])[1]
    return f"#{value.upper()}" if value else ""

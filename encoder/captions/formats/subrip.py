r"""SubRip as it is found in the wild, read strictly enough to name the line that is wrong.

Cue is the caption that all kinds of subtitles become, with SubRip's marks in its text: `<i>`, `<b>`, `<u>`, `<s>`,
`<font>` and `{\an1}` to `{\an9}`.

Borne: blank lines missing between cues or standing inside them, even below a number; missing numbers; overlapping and
zero-length cues; hours, minutes or fractions with fewer digits.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pysrt

MARK = re.compile(r"<(?P<closing>/?)(?P<tag>[ibus]|font)(?P<rest>\s[^<>]*)?>|\{\\(?P<place>an[1-9])\}", re.IGNORECASE)
COLOR = re.compile(r"color\s*=[\s\"']*(#?\w+)", re.IGNORECASE)
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

ARROW = "-->"
# More are no number that cues are counted with, and take long to read.
MAX_DIGITS = 9
# Twenty for every second of a video of an hour and a half.
MAX_CUES = 100_000
# Many pages. What draws captions takes time by the square of this, for every picture.
MAX_CUE_CHARS = 20_000
TIME = re.compile(r"\d{1,3}:\d{1,2}:\d{1,2}(?:[,.]\d{1,3})?")
EXAMPLE = "00:00:01,000 --> 00:00:04,000"


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


def parse(text: str) -> list[Cue]:
    """Return the cues of a SubRip file, in its order; those without text or length are left out. Raises
    SubtitleError."""
    lines = text.splitlines()
    return shown_cues((_cue(*block) for block in _blocks(lines)), EXAMPLE)


def shown_cues(cues: Iterable[Cue], example: str) -> list[Cue]:
    """Return the cues that have text and length. Raises SubtitleError for a file without cues, or with more than
    MAX_CUES; `example` is a line of times."""
    count, shown = 0, []
    for count, cue in enumerate(cues, 1):
        check_count(count)
        if cue.text and cue.end_ms > cue.start_ms:
            shown.append(cue)
    if not count:
        raise SubtitleError(f"there are no captions in it; a caption has a line like '{example}' above its text.")
    return shown


def check_count(cues: int) -> None:
    """Raise SubtitleError for more captions than a file may have."""
    if cues > MAX_CUES:
        raise SubtitleError(f"it has more than {MAX_CUES:,} captions; give a file with fewer.")


def check_text(where: str, lines: list[str]) -> None:
    """Raise SubtitleError for a caption that is too long to be drawn."""
    if sum(map(len, lines)) > MAX_CUE_CHARS:
        raise SubtitleError(
            f"{where}: captions are of {MAX_CUE_CHARS:,} letters at most; break them into shorter ones."
        )


def _blocks(lines: list[str]) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each cue as (its count from 1, the line number of its times, its lines from the times on)."""
    starts = [number for number, line in enumerate(lines) if ARROW in line]
    first = _first_number(lines[: starts[0]] if starts else [])
    for count, (start, end) in enumerate(itertools.pairwise([*starts, len(lines)]), 1):
        body = lines[start:end]
        yield count, start + 1, body if count == len(starts) else _without_next_number(body, first + count)


def _first_number(head: list[str]) -> int:
    """Return the number of the first cue; text above its times is a cue whose times are missing."""
    first = 1
    for number, line in enumerate(head, 1):
        if line.strip() and not line.strip().isdecimal():
            raise SubtitleError(f"line {number}: '{line.strip()[:40]}' stands before any times like '{EXAMPLE}'.")
        first = int(line.strip()[:MAX_DIGITS] or first)
    return first


def _without_next_number(body: list[str], following: int) -> list[str]:
    """Return a cue without the number of the one that comes after it, which should be `following`: with blanks below
    it, other digits are text."""
    if body[-1].strip().isdecimal():
        return body[:-1]
    last = max(number for number, line in enumerate(body) if line.strip())
    digits = body[last].strip()
    return body[:last] if digits.isdecimal() and digits.lstrip("0") == str(following) else body


def _cue(count: int, line: int, body: list[str]) -> Cue:
    times = [part.split() for part in body[0].split(ARROW)]
    if len(times) != 2 or not all(part and TIME.fullmatch(part[0]) for part in times):
        raise SubtitleError(f"caption {count}, line {line}: '{body[0].strip()[:60]}' is not like '{EXAMPLE}'.")
    check_text(f"caption {count}, line {line}", body)
    item = pysrt.SubRipItem.from_lines([_pad_milliseconds(times), *(body[1:] or [""])])
    start, end = item.start.ordinal, item.end.ordinal
    if end < start:
        raise SubtitleError(f"caption {count}, line {line}: it ends before it starts ('{body[0].strip()[:60]}').")
    return Cue(start, end, item.text.strip())


def _pad_milliseconds(times: list[list[str]]) -> str:
    """Return the line of times with three digits after the comma, as pysrt takes ',5' for five milliseconds."""
    clocks = [re.split("[,.]", part[0]) for part in times]
    return f" {ARROW} ".join(f"{head[0]},{(head[1] if len(head) > 1 else '').ljust(3, '0')}" for head in clocks)

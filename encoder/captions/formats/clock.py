"""Times as they stand in subtitles: with blanks in them, without hours, in the digits of any script, below zero.

Tools that translate subtitles translate the digits and the arrow too, and set blanks where their language has them.
"""

import re
import unicodedata
from dataclasses import dataclass

import pysrt

from servicekit.text import normalize

# No line of times is longer up to where its last time ends.
MAX_TIMES_CHARS = 120
# What translators and typographers make of commas, dashes, arrows and colons. NFKC does the wide ones.
SIGNS = str.maketrans("،٫。、‐‑‒–—―−→⟶⇒➔›»∶", ",,,,------->>>>>>:")
CLOCK = (
    r"-?\d{1,4}(?:\s?:\s?-?\d{1,3}){1,3}(?:\s?[.,;]\s?\d{1,9})?"  # hours and fractions may be missing
    r"|\d{1,3}(?:\.\d{1,2}){2}[.,]\d{1,3}"  # points in place of colons
    r"|-?\d{1,6}\.\d{1,9}"  # seconds
)
TIMES = re.compile(rf"(?:\d{{1,6}}[.)]?\s+)?\s*\[?\s*({CLOCK})\s*(?:[-=]\s?){{0,3}}>\s*({CLOCK})(?![\w:])\]?")
# Most lines are like this; the others take ten times as long.
USUAL = re.compile(r"(\d\d):(\d\d):(\d\d)[,.](\d{3}) --> (\d\d):(\d\d):(\d\d)[,.](\d{3})(?![\w:])(.*)", re.ASCII)
# Times that are whole need no arrow between them: SBV and SubViewer have a comma.
WHOLE_CLOCK = r"\d{1,3}:\d{1,2}:\d{1,2}[.,]\d{1,3}"
PAIR = re.compile(rf"\s*\[?\s*({WHOLE_CLOCK})[^\w:.]{{1,5}}({WHOLE_CLOCK})(?![\w:])\]?")
ONE_CLOCK = re.compile(CLOCK)
MAY_BEGIN = re.compile(r"[^\w\n]{0,20}\d")
ARROW = re.compile(r"[-=]\s?>|--")
LIKE_TIME = re.compile(r"\d\s?[:.,]\s?\d")
FRACTION = re.compile("[.,;]")
FIELDS, FRACTION_DIGITS = 3, 3


@dataclass(frozen=True)
class Times:
    """When a caption is shown, in milliseconds, and what stands behind that in its line."""

    start_ms: int
    end_ms: int
    rest: str


def parse_times(line: str) -> Times | None:
    """Return the times of a line that begins with two of them; None where it does not."""
    if usual := USUAL.match(line):
        first, last = usual.groups()[:4], usual.groups()[4:8]
        return Times(_milliseconds(*first), _milliseconds(*last), usual[9])
    if not MAY_BEGIN.match(line) or line.isdecimal():
        return None
    head = plain(line[:MAX_TIMES_CHARS])
    match = TIMES.match(head) or PAIR.match(head)
    if match is None:
        return None
    start, end = map(parse_clock, match.groups())
    if start is None or end is None:
        return None
    return Times(start, end, head[match.end() :] + line[MAX_TIMES_CHARS:])


def _milliseconds(hours: str, minutes: str, seconds: str, milliseconds: str) -> int:
    time = pysrt.SubRipTime(int(hours), int(minutes), int(seconds), int(milliseconds))
    return int(time.ordinal)


def inline_time(milliseconds: float) -> str:
    """Return the mark of a time within a text, as WebVTT has it."""
    seconds, rest = divmod(round(milliseconds), 1000)
    return f"<{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}>"


def is_like_times(line: str) -> bool:
    """Return True for a line that looks like times which cannot be read: an arrow, and digits as of a time."""
    head = plain(line[:MAX_TIMES_CHARS])
    return bool(ARROW.search(head) and ">" in head and LIKE_TIME.search(head))


def plain(line: str) -> str:
    """Return a line with its digits, signs and blanks as they are in English, without marks of direction."""
    if line.isascii():
        return line
    shown = "".join(letter for letter in line if unicodedata.category(letter) != "Cf")
    return normalize("NFKC", shown.translate(SIGNS)).translate(SIGNS)


def parse_clock(text: str) -> int | None:
    """Return the milliseconds of one time, those below zero as 0; None for what is no time."""
    if not ONE_CLOCK.fullmatch(text):
        return None
    text = "".join(text.split())
    parts = text.split(":")
    if len(parts) == 1 and len(FRACTION.findall(text)) == FIELDS:
        *parts, last = FRACTION.split(text)
    else:
        parts[-1], _, last = FRACTION.sub(".", parts[-1]).partition(".")
    if len(parts) > FIELDS:
        # A colon before the milliseconds; of two digits they are frames, of which nobody knows the length.
        if last or len(parts[-1]) != FRACTION_DIGITS:
            return None
        last = parts.pop()
    if "-" in text:
        return 0
    hours, minutes, seconds = ["0", "0", *parts][-3:]
    return _milliseconds(hours, minutes, seconds, last[:FRACTION_DIGITS].ljust(FRACTION_DIGITS, "0"))

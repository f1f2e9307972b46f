"""SubRip as it is found in the wild, read strictly enough to name the line that is wrong.

Borne: blank lines missing between cues or standing inside them, even below a number; missing numbers; overlapping and
zero-length cues; hours, minutes or fractions with fewer digits.
"""

import itertools
import re
from collections.abc import Iterator

import pysrt

from encoder.captions.formats.cue import Cue, SubtitleError

ARROW = "-->"
# More are no number that cues are counted with, and take long to read.
MAX_DIGITS = 9
TIME = re.compile(r"\d{1,3}:\d{1,2}:\d{1,2}(?:[,.]\d{1,3})?")
EXAMPLE = "00:00:01,000 --> 00:00:04,000"


def parse(text: str) -> list[Cue]:
    """Return the cues of a SubRip file, in its order; those without text or length are left out. Raises
    SubtitleError."""
    lines = text.splitlines()
    cues = [_cue(*block) for block in _blocks(lines)]
    if not cues:
        raise SubtitleError(f"there are no captions in it; a caption has a line like '{EXAMPLE}' above its text.")
    return [cue for cue in cues if cue.text and cue.end_ms > cue.start_ms]


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
    item = pysrt.SubRipItem.from_lines([_pad_milliseconds(times), *(body[1:] or [""])])
    start, end = item.start.ordinal, item.end.ordinal
    if end < start:
        raise SubtitleError(f"caption {count}, line {line}: it ends before it starts ('{body[0].strip()[:60]}').")
    return Cue(start, end, item.text.strip())


def _pad_milliseconds(times: list[list[str]]) -> str:
    """Return the line of times with three digits after the comma, as pysrt takes ',5' for five milliseconds."""
    clocks = [re.split("[,.]", part[0]) for part in times]
    return f" {ARROW} ".join(f"{head[0]},{(head[1] if len(head) > 1 else '').ljust(3, '0')}" for head in clocks)

"""LRC, the words of songs: a time in brackets before each line, in enhanced ones before each word too.

Source: https://en.wikipedia.org/wiki/LRC_(file_format). A line stands until the next one.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from encoder.captions.formats.cue import Cue, Subtitles, gather
from encoder.captions.formats.markup import read_marks

TIME = re.compile(r"\[(\d{1,3}):(\d{1,2})(?:[.:,](\d{1,3}))?\]\s?")
LINE = re.compile(rf"\s*((?:{TIME.pattern})+)(.*)")
TAG = re.compile(r"\s*\[[A-Za-z#]{1,20}:.*\]\s*")
OFFSET = re.compile(r"\s*\[offset:\s*([+-]?\d{1,9})\s*\]\s*", re.IGNORECASE)
EXAMPLE = "[00:01.00]"
# How long the last line stands.
LAST_MS = 5000
# A chorus has the times of all its repeats before it.
MAX_REPEATS = 100


def matches(text: str) -> bool:
    """Return True if most lines begin with a time in brackets, or are LRC's own tags."""
    if not text.lstrip().startswith("["):
        return False
    lines = [line for line in text.split("\n") if line.strip()]
    times = sum(LINE.fullmatch(line) is not None for line in lines)
    tags = sum(TAG.fullmatch(line) is not None for line in lines)
    return times > 0 and 2 * (times + tags) > len(lines)


def parse(text: str) -> Subtitles:
    """Return the lines of a song in the order of time. Raises SubtitleError."""
    offset = next((int(match[1]) for line in text.split("\n") if (match := OFFSET.fullmatch(line))), 0)
    ignored: set[str] = set()
    lines = sorted(_lines(text, offset), key=lambda line: line[0])
    starts = sorted({start for start, *_ in lines})
    ends = dict(pairwise(starts)) | ({starts[-1]: starts[-1] + LAST_MS} if starts else {})
    return gather(_cues(lines, ends, ignored), EXAMPLE, ignored)


def _lines(text: str, offset_ms: int) -> Iterator[tuple[int, int, str]]:
    """Yield each line as its start in milliseconds, its number from 1, and its text."""
    for number, line in enumerate(text.split("\n"), 1):
        if match := LINE.fullmatch(line):
            for minutes, seconds, fraction in TIME.findall(match[1])[:MAX_REPEATS]:
                start = (int(minutes) * 60 + int(seconds)) * 1000 + int(fraction.ljust(3, "0"))
                # A positive offset has words appear sooner.
                yield max(start - offset_ms, 0), number, match[match.lastindex or 0]


def _cues(lines: list[tuple[int, int, str]], ends: dict[int, int], ignored: set[str]) -> Iterator[Cue]:
    for start, number, words in lines:
        # A line without words ends the one before.
        if words.strip():
            marked = read_marks(words)
            ignored |= marked.ignored
            yield Cue(start, ends[start], marked.text, marked.word_times, marked.place, f"line {number}")

r"""SubRip as it is found in the wild, and what is like it: SBV of YouTube, SubViewer, and what whisper prints.

Borne: blank lines missing between cues or standing inside them, even below a number; missing numbers, and text above
the first; times in any digits, short, without hours, below zero, with places or text behind them; any arrow.
"""

import itertools
import re
from collections.abc import Iterator

from encoder.captions.formats.clock import Times, is_like_times, parse_times, plain
from encoder.captions.formats.cue import MAX_ECHO, Cue, LeftOut, Subtitles, gather, name_cue
from encoder.captions.formats.markup import read_marks

EXAMPLE = "00:00:01,000 --> 00:00:04,000"
# More are no number that cues are counted with, and take long to read.
MAX_DIGITS = 9
# Of what stands behind times: places, as SubRip and WebVTT have them. Anything else there is text.
SETTING = re.compile(r"\w+:\S*")
COORDINATES = "X1:… Y1:…"
# SubViewer's, for a line end.
BREAK = re.compile(r"\[br\]", re.IGNORECASE)
# Heads of SubViewer and of WebVTT without its first line.
HEAD = re.compile(r"\[.*|(?:WEBVTT|Kind|Language)\b.*|\d+")


def parse(text: str) -> Subtitles:
    """Return the cues of a file, in its order. Raises SubtitleError."""
    lines = text.splitlines()
    ignored: set[str] = set()
    return gather(_cues(lines, ignored), EXAMPLE, ignored)


def _cues(lines: list[str], ignored: set[str]) -> Iterator[Cue | LeftOut]:
    starts = _starts(lines)
    first = 1
    if starts:
        head = lines[: starts[0][0]]
        first = next((number for line in reversed(head) if (number := _number(line)) is not None), 1)
        yield from _left_out_of_head(head)
    ends = [*(start for start, _ in starts[1:]), len(lines)]
    for count, ((start, times), end) in enumerate(zip(starts, ends, strict=False), 1):
        body = lines[start:end]
        name = name_cue(count, start + 1, body[0])
        if times is None:
            yield LeftOut(name, f"has times that are not like '{EXAMPLE}'")
            continue
        body = body if count == len(starts) else _without_next_number(body, first + count)
        yield _cue(name, times, body, ignored)


def _starts(lines: list[str]) -> list[tuple[int, Times | None]]:
    """Return where cues begin: the index of each line of times, with the times; None where they cannot be read."""
    starts: list[tuple[int, Times | None]] = []
    for index, line in enumerate(lines):
        times = parse_times(line)
        if times is not None or _is_bad(lines, index):
            starts.append((index, times))
    return starts


def _is_bad(lines: list[str], index: int) -> bool:
    """Return True for a line that should have times: it looks like them, or has their arrow below a number."""
    line = lines[index]
    if ">" not in line or "-" not in line:
        return False
    above = lines[index - 1] if index else ""
    return is_like_times(line) or ("-->" in line and _number(above) is not None)


def _left_out_of_head(head: list[str]) -> Iterator[LeftOut]:
    """Yield the text above the first times, which is not drawn."""
    texts = [(number, shown) for number, line in enumerate(head, 1) if (shown := plain(line[:MAX_ECHO]).strip())]
    stray = [(number, shown) for number, shown in texts if not HEAD.fullmatch(shown)]
    if stray:
        number, shown = stray[0]
        yield LeftOut(f"line {number}", f"stands before any times like '{EXAMPLE}' ('{shown}')")


def _number(line: str) -> int | None:
    """Return the number that a line consists of; None for other text."""
    digits = plain(line[: 2 * MAX_ECHO]).strip()
    return int(digits[:MAX_DIGITS]) if digits.isdecimal() else None


def _without_next_number(body: list[str], following: int) -> list[str]:
    """Return a cue without the number of the one that comes after it, which should be `following`: with blanks below
    it, other digits are text."""
    if _number(body[-1]) is not None:
        return body[:-1]
    last = max(at for at, line in enumerate(body) if line.strip())
    return body[:last] if last and _number(body[last]) == following else body


def _cue(name: str, times: Times, body: list[str], ignored: set[str]) -> Cue:
    behind = times.rest.split()
    has_settings = all(map(SETTING.fullmatch, behind))
    if has_settings and any(word.startswith("X1:") for word in behind):
        ignored.add(COORDINATES)
    words = "\n".join(itertools.chain([] if has_settings else [times.rest], body[1:]))
    marked = read_marks(BREAK.sub("\n", words))
    ignored |= marked.ignored
    return Cue(times.start_ms, times.end_ms, marked.text, marked.word_times, marked.place, name)

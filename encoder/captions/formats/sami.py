"""SAMI (.smi): a page on which each `<SYNC Start=…>` says from which millisecond on its text counts.

Of several languages the first is taken. Source: Microsoft, "Understanding SAMI 1.0".
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from encoder.captions.formats.cue import Cue, Subtitles, gather, name_cue
from encoder.captions.formats.markup import read_marks

HEAD = re.compile(r"\s*<sami\b", re.IGNORECASE)
SYNC = re.compile(r"<sync\b([^<>]*)>", re.IGNORECASE)
START = re.compile(r"\bstart\s*=\s*[\"']?\s*(-?\d{1,9})", re.IGNORECASE)
PARAGRAPH = re.compile(r"<p\b([^<>]*)>", re.IGNORECASE)
CLASS = re.compile(r"\bclass\s*=\s*[\"']?\s*([\w-]{1,60})", re.IGNORECASE)
BODY_END = re.compile(r"</(?:body|sami)>", re.IGNORECASE)
EXAMPLE = "<SYNC Start=1000>"
LAST_MS = 5000


def matches(text: str) -> bool:
    """Return True if a file says that it is SAMI."""
    return HEAD.match(text) is not None


def parse(text: str) -> Subtitles:
    """Return the cues of a file in the order of the file. Raises SubtitleError."""
    ignored: set[str] = set()
    return gather(_cues(text, ignored), EXAMPLE, ignored)


def _cues(text: str, ignored: set[str]) -> Iterator[Cue]:
    syncs = list(SYNC.finditer(text))
    language: str | None = None
    ends = [*(match.start() for match in syncs[1:]), len(text)]
    starts = [max(int(said[1]), 0) if (said := START.search(match[1])) else 0 for match in syncs]
    line, counted, count = 1, 0, 0
    shown: list[tuple[int, str, str]] = []
    for match, end, start in zip(syncs, ends, starts, strict=False):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        for name, words in _paragraphs(text[match.end() : end]):
            language = name if language is None else language
            if name == language:
                count += 1
                shown.append((start, words, name_cue(count, line, match[0])))
    for (start, words, name), (until, *_) in pairwise([*shown, (shown[-1][0] + LAST_MS if shown else 0, "", "")]):
        marked = read_marks(" ".join(words.split()))
        ignored |= marked.ignored
        # One without text ends the one before it.
        if marked.text.strip("\xa0 "):
            yield Cue(start, until, marked.text, marked.word_times, marked.place, name)


def _paragraphs(words: str) -> Iterator[tuple[str, str]]:
    """Yield the class, which stands for a language, and the text of each paragraph."""
    words = BODY_END.split(words, maxsplit=1)[0]
    starts = list(PARAGRAPH.finditer(words))
    if not starts:
        yield "", words
    for start, end in zip(starts, [*(match.start() for match in starts[1:]), len(words)], strict=True):
        named = CLASS.search(start[1])
        yield named[1].lower() if named else "", words[start.end() : end]

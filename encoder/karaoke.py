"""Karaoke: when each word of a caption is said. Pure."""

import re
from dataclasses import dataclass

from encoder.subtitles import Cue

WORD = re.compile(r"\S+")
MARKS = re.compile(r"<[^<>]*>|\{[^{}]*\}")


@dataclass(frozen=True)
class Word:
    """A word of a cue: where it stands in the cue's text, and milliseconds from the start of the video."""

    first: int
    end: int
    start_ms: int
    end_ms: int


def words(cue: Cue) -> list[Word]:
    """The words of a cue, each said for as long as its share of the letters; together they fill the cue."""
    found = [match.span() for match in WORD.finditer(cue.text)]
    weights = [max(sum(map(str.isalnum, MARKS.sub("", cue.text[first:end]))), 1) for first, end in found]
    total, said, result = sum(weights), 0, []
    for (first, end), weight in zip(found, weights, strict=True):
        start = cue.start_ms + (cue.end_ms - cue.start_ms) * said // total
        said += weight
        result.append(Word(first, end, start, cue.start_ms + (cue.end_ms - cue.start_ms) * said // total))
    return result

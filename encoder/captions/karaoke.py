"""Karaoke: the times of the words of a caption. Pure."""

import itertools
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from apigpu.v1 import caption_style_pb2
from encoder.captions.formats import MARK, Cue
from servicekit.errors import InvalidArgument
from servicekit.text import normalize

WORD = re.compile(r"\S+")
# Each word is drawn with the whole of its caption. This is enough for 30,000 captions of ten words of five letters.
MAX_LETTERS = 20_000_000
# Letters of a word that an error quotes.
MAX_ECHO = 60


@dataclass(frozen=True)
class Word:
    """A word of a cue: where it stands in the cue's text, and milliseconds from the start of the video."""

    first: int
    end: int
    start_ms: int
    end_ms: int


def check_length(cues: Iterable[Cue]) -> None:
    """Raise InvalidArgument for captions that are too long to light their words up one by one."""
    if sum(len(cue.text) * len(WORD.findall(cue.text)) for cue in cues) > MAX_LETTERS:
        text = "its captions are too long to light up every word; break them into shorter ones, or take another style."
        raise InvalidArgument.field("url_srt", text)


def timed_words(cue: Cue) -> list[Word]:
    """Return the words of a cue, one after the other. A word whose time the cue gives begins then; those between two
    such times share what lies between by their letters. Together they last to the end of the cue."""
    words = list(_split(cue.text))
    times = itertools.pairwise(_starts(cue, words))
    return [Word(first, end, *span) for (first, end, _), span in zip(words, times, strict=True)]


def match_words(cues: Sequence[Cue], requested: Iterable[caption_style_pb2.CaptionWord]) -> list[list[Word]]:
    """Return the words of each cue at the times that a request gives: every word, in order; those without letters (a
    dash, a note) may be missing on either side. Raises InvalidArgument, naming the word that does not fit."""
    rest = deque(enumerate(requested))
    result = [list(_match_cue(cue, rest)) for cue in cues]
    left = next(((number, word) for number, word in rest if _letters(word.text)), None)
    if left is not None:
        raise _error(left[0], f"'{left[1].text[:MAX_ECHO]}' comes after the last word of the subtitles; leave it out.")
    return result


def _match_cue(cue: Cue, rest: deque[tuple[int, caption_style_pb2.CaptionWord]]) -> Iterator[Word]:
    """Yield the words of a cue, each at the times of the one of `rest` that it takes from there."""
    for place in _split(cue.text):
        lettered = bool(_letters(place[2]))
        while lettered and rest and not _letters(rest[0][1].text):
            rest.popleft()
        if lettered or (rest and not _letters(rest[0][1].text)):
            yield _timed_word(place, cue, *(rest.popleft() if rest else (-1, None)))


def _timed_word(place: tuple[int, int, str], cue: Cue, number: int, word: caption_style_pb2.CaptionWord | None) -> Word:
    first, end, text = place
    if word is None:
        missing = f"'{text[:MAX_ECHO]}' is missing"
        raise InvalidArgument(
            f"words: there are fewer than the subtitles have: {missing}; give every word, in order.",
            fields={"words": missing},
        )
    if _letters(word.text) != _letters(text):
        shown, wanted = word.text[:MAX_ECHO], text[:MAX_ECHO]
        raise _error(number, f"'{shown}' stands where the subtitles have '{wanted}'; give every word, in order.")
    if word.end < word.start:
        raise _error(number, f"'{word.text[:MAX_ECHO]}' ends before it starts.")
    times = (min(max(round(time * 1000), cue.start_ms), cue.end_ms) for time in (word.start, word.end))
    return Word(first, end, *times)


def _split(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each word begins and ends, marks that touch it included, and the word alone."""
    # Marks can hold blanks, and are no part of a word: they are blotted out by a letter that no text has.
    blotted = MARK.sub(lambda match: "\0" * len(match[0]), text)
    for match in WORD.finditer(blotted):
        alone = match[0].replace("\0", "")
        if alone:
            yield match.start(), match.end(), alone


def _starts(cue: Cue, words: Sequence[tuple[int, int, str]]) -> list[int]:
    """Return when each word begins, and when the last ends."""
    weights = [max(sum(map(str.isalnum, text)), 1) for _, _, text in words]
    known: dict[int, int] = {0: cue.start_ms, len(words): cue.end_ms}
    ends = [end for _, end, _ in words]
    for place, time in cue.word_times:
        if 0 < (number := bisect_right(ends, place)) < len(words):
            known[number] = time
    numbers = sorted(known)
    times = list(itertools.accumulate((known[number] for number in numbers), max, initial=0))[1:]
    starts: list[int] = []
    for one, other, begin, end in zip(numbers, numbers[1:], times, times[1:], strict=False):
        total, sum_so_far = sum(weights[one:other]), 0
        for number in range(one, other):
            starts.append(begin + (end - begin) * sum_so_far // total)
            sum_so_far += weights[number]
    return [*starts, cue.end_ms]


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, normalize("NFKC", text).casefold()))


def _error(number: int, text: str) -> InvalidArgument:
    return InvalidArgument.field(f"words[{number}].text", text)

"""Karaoke: the times of the words of a caption. Pure, but for ICU's data.

A word is what lights up at once: what stands between two blanks, a word of a script that has no blanks, or what a
caption or a request gives a time of its own.
"""

import itertools
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from encoder.captions.formats import MARK, Cue
from encoder.captions.line_breaks import unspaced_places
from servicekit.errors import InvalidArgument

WORD = re.compile(r"\S+")
# What a mark is blotted out by: a letter that no text has.
BLOT = "\0"
# Each word is drawn with the whole of its caption. This is enough for 30,000 captions of ten words of five letters.
MAX_LETTERS = 20_000_000


@dataclass(frozen=True)
class Word:
    """A word of a cue: where it stands in the cue's text, and milliseconds from the start of the video."""

    first: int
    end: int
    start_ms: int
    end_ms: int


def checked(cues: Iterable[Cue], words: Iterable[Sequence[Word]], field: str) -> Iterator[Sequence[Word]]:
    """Yield the words of each cue. Raises InvalidArgument, which names the field, for captions that are too long to
    light their words up one by one."""
    drawn = 0
    for cue, timed in zip(cues, words, strict=False):
        drawn += len(cue.text) * len(timed)
        if drawn > MAX_LETTERS:
            text = (
                "its captions are too long to light up every word; break them into shorter ones, or take another style."
            )
            raise InvalidArgument.field(field, text)
        yield timed


def timed_words(cue: Cue) -> list[Word]:
    """Return the words of a cue, one after the other. A word whose time the cue gives begins then; those between two
    such times share what lies between by their letters. Together they last to the end of the cue."""
    words = list(split(cue.text, [place for place, _ in cue.word_times]))
    times = itertools.pairwise(_starts(cue, words))
    return [Word(first, end, *span) for (first, end), span in zip(words, times, strict=True)]


def blotted(text: str) -> str:
    """Return a text with each letter of its marks replaced by BLOT: they can hold blanks, and are no part of a word."""
    return MARK.sub(lambda match: BLOT * len(match[0]), text)


def split(text: str, more: Iterable[int] = ()) -> Iterator[tuple[int, int]]:
    """Yield where each word begins and ends, marks that touch it included; `more` are places where one ends too."""
    shown = blotted(text)
    # Never between a letter and its mark.
    more = {place for place in more if not unicodedata.category(shown[place : place + 1] or " ").startswith("M")}
    ends = iter([*sorted(more), len(text)])
    end = next(ends)
    for match in WORD.finditer(shown):
        while end <= match.start():
            end = next(ends)
        places = {match.end(), *(match.start() + place for place in _unspaced(match[0]))}
        while end < match.end():
            places.add(end)
            end = next(ends)
        yield from _with_letters(shown, [match.start(), *sorted(places)])


def _unspaced(word: str) -> list[int]:
    """Return the places within a word where another begins, in scripts without blanks; the word may have marks."""
    if BLOT not in word:
        return unspaced_places(word)
    kept = [place for place, letter in enumerate(word) if letter != BLOT]
    return [kept[place] for place in unspaced_places("".join(word[place] for place in kept))]


def _with_letters(shown: str, places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield what stands between the places; what is marks alone goes with what comes after it, or before."""
    first = places[0]
    found: list[tuple[int, int]] = []
    for end in places[1:]:
        if shown[first:end].strip(BLOT):
            found.append((first, end))
            first = end
    if found and first < places[-1]:
        found[-1] = found[-1][0], places[-1]
    yield from found


def shared_times(text: str, words: Sequence[tuple[int, int]], begin: int, end: int) -> list[int]:
    """Return when each of some words of a text begins that share a time by their letters, and when the last ends."""
    weights = [max(sum(map(str.isalnum, text[first:until])), 1) for first, until in words]
    sums = itertools.accumulate(weights, initial=0)
    return [begin + (end - begin) * done // max(sum(weights), 1) for done in sums]


def _starts(cue: Cue, words: Sequence[tuple[int, int]]) -> list[int]:
    """Return when each word begins, and when the last ends. Times that run backwards are left out."""
    known: dict[int, int] = {0: cue.start_ms}
    ends = [end for _, end in words]
    latest = cue.start_ms
    for place, time in cue.word_times:
        number = bisect_right(ends, place)
        if 0 < number < len(words) and latest <= time <= cue.end_ms:
            known[number] = latest = time
    known[len(words)] = cue.end_ms
    text, starts = blotted(cue.text), [cue.start_ms] if not words else []
    for one, other in itertools.pairwise(sorted(known)):
        starts += shared_times(text, words[one:other], known[one], known[other])[:-1]
    return [*starts, cue.end_ms]


def one_at_a_time(words: Iterable[Word], cue: Cue) -> list[Word]:
    """Return words in the order of their times, within those of the cue, each to where the next one begins: as players
    have it, what is said last is lit. One whose time is empty then is left out."""
    within = [
        replace(word, start_ms=max(word.start_ms, cue.start_ms), end_ms=min(word.end_ms, cue.end_ms)) for word in words
    ]
    within.sort(key=lambda word: word.start_ms)
    nexts = [*(word.start_ms for word in within[1:]), cue.end_ms]
    cut = (replace(word, end_ms=min(word.end_ms, then)) for word, then in zip(within, nexts, strict=True))
    return [word for word in cut if word.end_ms > word.start_ms]

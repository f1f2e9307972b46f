"""Two rows of letters beside each other: the captions', and those of the words that a request gives. Pure.

Letters are compared one by one, across blanks and marks, so that it does not matter how a transcript cuts its words:
`don` `'t`, `3` `.11`, a token for each syllable. Where they differ, the next place is sought where several agree: first
in the caption that is shown at the time of a word, then near by.
"""

import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from encoder.captions.formats import Cue
from encoder.captions.karaoke import blotted

# How many words are passed over to find one that fits, how many letters it is sought in, and how many must fit.
LOOKAHEAD_WORDS, LOOKAHEAD_LETTERS, ANCHOR_LETTERS = 16, 200, 6
# A single word of so many letters is taken too, if it is so near.
WORD_LETTERS, NEAR_LETTERS = 3, 40
# How late a transcript may be against its captions.
DRIFT_MS = 2000


@dataclass(frozen=True)
class Token:
    """A word of a request: its number, its letters, and its times in milliseconds."""

    number: int
    text: str
    letters: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Span:
    """Letters of the captions from `first` on, before `end`, and the tokens that give their time: one that fits them,
    or those that stand in their place; none where the request has none."""

    first: int
    end: int
    tokens: Sequence[Token]
    is_match: bool


class Letters:
    """The letters of all captions, one after the other, and where each stands."""

    def __init__(self, cues: Sequence[Cue]) -> None:
        parts: list[str] = []
        self.places = array("l")
        # Where the letters of each cue begin, and where the last ends.
        self.begins = [0]
        for cue in cues:
            for place, letter in enumerate(blotted(cue.text)):
                found = _letters(letter)
                parts.append(found)
                self.places.extend([place] * len(found))
            self.begins.append(len(self.places))
        self.text = "".join(parts)


@lru_cache(maxsize=4096)
def _letters(letter: str) -> str:
    """Return what of a letter is compared: without case, accents and width."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", letter).casefold()))


def letters_of(text: str) -> str:
    """Return the letters of a text that are compared."""
    return "".join(map(_letters, text))


def align(letters: Letters, cues: Sequence[Cue], tokens: Sequence[Token]) -> Iterator[Span]:
    """Yield the letters of the captions in their order, with the tokens that give their times, all of which have
    letters."""
    place = number = 0
    passed: list[Token] = []
    search = _Search(letters, cues)
    while number < len(tokens):
        ahead = tokens[number : number + 2 * LOOKAHEAD_WORDS]
        if not passed and search.is_over(place, ahead[0]) and (fit := search.at_its_time(ahead, place)) is not None:
            yield Span(place, fit, [], is_match=False)
            place = fit
        elif not passed and letters.text.startswith(ahead[0].letters, place):
            yield Span(place, place + len(ahead[0].letters), ahead[:1], is_match=True)
            place, number = place + len(ahead[0].letters), number + 1
        elif found := search.next_fit(ahead, place):
            count, fit = found
            yield Span(place, fit, [*passed, *ahead[:count]], is_match=False)
            place, number, passed = fit, number + count, []
        else:
            passed += ahead[:LOOKAHEAD_WORDS]
            number += LOOKAHEAD_WORDS
    if passed or place < len(letters.text):
        yield Span(place, len(letters.text), passed, is_match=False)


class _Search:
    """Finds where words are said, each time in a bounded number of letters."""

    def __init__(self, letters: Letters, cues: Sequence[Cue]) -> None:
        self._letters = letters
        # Captions may overlap and lie in any order; for the search they begin and end one after the other.
        self._begins_ms = list(accumulate((cue.start_ms for cue in cues), max))
        self._ends_ms = {begin: cue.end_ms for begin, cue in zip(letters.begins, cues, strict=False)}

    def is_over(self, place: int, token: Token) -> bool:
        """Return True if the letters of a caption begin here that is long over when a token is said."""
        return place in self._ends_ms and token.start_ms > self._ends_ms[place] + DRIFT_MS

    def at_its_time(self, tokens: Sequence[Token], place: int) -> int | None:
        """Return where the first of some tokens is said in the captions from the one on that is shown at its time, if
        they come after a place."""
        cue = max(bisect_right(self._begins_ms, tokens[0].start_ms) - 1, 0)
        begin = self._letters.begins[cue]
        return self._find(_anchor(tokens), begin, LOOKAHEAD_LETTERS) if begin > place else None

    def next_fit(self, tokens: Sequence[Token], place: int) -> tuple[int, int] | None:
        """Return how many tokens are to be passed over so that the next one fits, and where it does."""
        counts = range(min(LOOKAHEAD_WORDS, len(tokens)))
        for count in counts:
            if (fit := self._find(_anchor(tokens[count:]), place, LOOKAHEAD_LETTERS)) is not None:
                return count, fit
        for count in counts:
            letters = tokens[count].letters
            near = self._find(letters, place, NEAR_LETTERS) if len(letters) >= WORD_LETTERS else None
            if (fit := self.at_its_time(tokens[count:], place) if near is None else near) is not None:
                return count, fit
        return None

    def _find(self, letters: str, first: int, count: int) -> int | None:
        found = self._letters.text.find(letters, first, first + count + len(letters))
        return None if found < 0 else found


def _anchor(tokens: Sequence[Token]) -> str:
    """Return the letters of the first tokens, of as many as it takes to be sure."""
    anchor = ""
    for token in tokens:
        anchor += token.letters
        if len(anchor) >= ANCHOR_LETTERS:
            break
    return anchor

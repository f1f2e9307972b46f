"""Which words stand in a caption together, and in a line of it: by their number, their letters, pauses and sentences.
Pure, but for ICU's data.

Words are joined as units that no line may part: what has no blank between, unless the rules of its script allow a break
there. A phrase is what is said without a pause, up to the end of a sentence; it becomes as few captions as hold it.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeVar

from encoder.captions.line_breaks import break_places

Range = tuple[int, int]
# Of the search for captions and lines of even length.
HALVINGS = 8
SENTENCE_END = re.compile(r"""[.!?…。！？｡؟۔।॥։።។]+["'”’»›)\]」』）]*$""")
# Full stops that end no sentence: of initials, and of what is shortened before a name or a number.
ABBREVIATION = re.compile(
    r"(?:^|\W)(?:[^\W\d_]|Mrs?|Ms|Dr|St|Sr|Jr|Sra|Dra|Prof|Mme|Nr|vs|e\.g|i\.e|z\.B)\.$", re.IGNORECASE
)
# No word that is longer is looked at as a whole.
MAX_END_CHARS = 40


@dataclass(frozen=True)
class CutRules:
    """How words become captions; None is no limit. Lines are filled up where `is_filled`, else about equally long."""

    words_per_line: int | None
    max_lines: int
    letters_per_line: int
    pause_ms: int
    at_sentences: bool
    is_filled: bool


@dataclass(frozen=True)
class TimedWord:
    """A word as it is counted: its text without marks, when it is said, whether it `is_joined` to the word before it
    without a blank, and whether a caption `begins` with it whatever the rules say."""

    text: str
    start_ms: int
    end_ms: int
    is_joined: bool = False
    begins: bool = False


@dataclass(frozen=True)
class _Unit:
    """Words from `first` to before `end` that no line may part: their letters, and the blank before them."""

    first: int
    end: int
    letters: int
    blank: int


def letters_of(text: str) -> int:
    """Return how many letters wide a text is: wide ones count as two, marks of a letter as none."""
    if text.isascii():
        return len(text)
    return sum(_letter_width(letter) for letter in text)


def _letter_width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def group(words: Sequence[TimedWord], rules: CutRules) -> Iterator[list[Range]]:
    """Yield the captions that words become: the lines of each, as the places of the first word and the one after the
    last."""
    for first, end in _phrases(words, rules):
        yield from _cut(list(_units(words, first, end)), rules)


def _phrases(words: Sequence[TimedWord], rules: CutRules) -> Iterator[Range]:
    first = 0
    latest = words[0].end_ms if words else 0
    for place, (word, following) in enumerate(pairwise(words), 1):
        is_pause = following.start_ms - latest > rules.pause_ms
        latest = max(latest, following.end_ms)
        if following.begins or is_pause or (rules.at_sentences and _ends_sentence(word, following)):
            yield first, place
            first = place
    if words:
        yield first, len(words)


def _ends_sentence(word: TimedWord, following: TimedWord) -> bool:
    text = word.text[-MAX_END_CHARS:]
    if not SENTENCE_END.search(text) or ABBREVIATION.search(text):
        return False
    return not following.text.lstrip()[:1].islower() and not (following.is_joined and following.text[:1].isdecimal())


def _units(words: Sequence[TimedWord], first: int, end: int) -> Iterator[_Unit]:
    some = words[first:end]
    texts = [("" if word.is_joined or not place else " ") + word.text for place, word in enumerate(some)]
    allowed = set(break_places("".join(texts)))
    ends = list(accumulate(map(len, texts)))
    start = 0
    for place in range(1, len(some) + 1):
        # A blank stands before the place where a line may end, not after it.
        blank = place < len(some) and texts[place].startswith(" ")
        if place == len(some) or blank or ends[place - 1] in allowed:
            text = "".join(texts[start:place])
            shown = text.removeprefix(" ")
            yield _Unit(first + start, first + place, letters_of(shown), len(text) - len(shown))
            start = place


Line = list[_Unit]
T = TypeVar("T")


def _cut(units: Sequence[_Unit], rules: CutRules) -> Iterator[list[Range]]:
    """Yield the lines of the captions of a phrase."""
    captions = _packed(units, rules, rules.letters_per_line)
    if not rules.is_filled:
        sizes = [sum(map(_letters, lines)) for lines in captions]
        captions = _evened(captions, sizes, lambda most: _packed(units, rules, rules.letters_per_line, most))
    for lines in captions:
        yield [(line[0].first, line[-1].end) for line in (lines if rules.is_filled else _even_lines(lines, rules))]


def _even_lines(lines: list[Line], rules: CutRules) -> list[Line]:
    units = [unit for line in lines for unit in line]

    def pack(most_letters: int) -> list[Line]:
        return [line for some in _packed(units, rules, most_letters) for line in some]

    return _evened(lines, list(map(_letters, lines)), pack)


def _evened(parts: list[T], letters: Sequence[int], pack: Callable[[int], list[T]]) -> list[T]:
    """Return as many parts as there are, packed so that the longest is as short as can be."""
    low, high = sum(letters) // len(parts), max(letters)
    for _ in range(HALVINGS if len(parts) > 1 else 0):
        middle = (low + high) // 2
        found = pack(middle)
        if len(found) > len(parts):
            low = middle + 1
        else:
            high, parts = middle, found
        if low >= high:
            break
    return parts


def _packed(
    units: Sequence[_Unit], rules: CutRules, line_letters: int, caption_letters: float = math.inf
) -> list[list[Line]]:
    """Return captions as full as they may be, each as its lines."""
    captions: list[list[Line]] = []
    most_words = rules.words_per_line or math.inf
    in_line = in_caption = 0
    for unit in units:
        letters = unit.blank + unit.letters
        lines = captions[-1] if captions else []
        has_room = bool(lines) and in_line + letters <= line_letters and len(lines[-1]) < most_words
        is_full = in_caption + letters > caption_letters or (not has_room and len(lines) == rules.max_lines)
        if not lines or is_full:
            captions.append([[unit]])
            in_line = in_caption = unit.letters
            continue
        if has_room:
            lines[-1].append(unit)
            in_line += letters
        else:
            lines.append([unit])
            in_line = unit.letters
        in_caption += letters
    return captions


def _letters(line: Line) -> int:
    return sum(unit.letters + unit.blank for unit in line) - line[0].blank

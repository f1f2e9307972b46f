"""Letters of captions that no font has: left out and told of, rather than drawn as boxes. Pure."""

import unicodedata
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

from encoder.captions.formats import Cue
from encoder.captions.karaoke import Word
from encoder.captions.markup import MARK
from encoder.operations.plan import PlanWarning

# These draw nothing of their own: controls, joiners, blanks, surrogates. Blanks that a font lacks become plain ones.
UNDRAWN = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
BLANK = "Zs"
# Selectors of a letter's variant and of skin: nothing is amiss without them.
SELECTORS = {*map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0000, 0xE01F0))}
MAX_TOLD = 40


def drawn(texts: Iterable[str], *, capitals: bool = False) -> set[str]:
    """The letters that the texts of captions take to draw."""
    letters = set("".join(MARK.sub("", text) for text in texts))
    if capitals:
        letters = set("".join(map(str.upper, letters)))
    return {letter for letter in letters if letter == " " or unicodedata.category(letter) not in UNDRAWN[:-1]}


def without(cue: Cue, lacking: Set[str]) -> Cue:
    """A cue without the letters that no font has."""
    table = replaced(lacking)
    said = tuple((_moved(place, cue, table), time) for place, time in cue.said)
    return replace(cue, text=cue.text.translate(table), said=said)


def words_without(words: Iterable[Word], cue: Cue, lacking: Set[str]) -> list[Word]:
    """The words of a cue where they stand once it is without the letters that no font has."""
    table = replaced(lacking)
    return [replace(word, first=_moved(word.first, cue, table), end=_moved(word.end, cue, table)) for word in words]


def _moved(place: int, cue: Cue, table: Mapping[int, str | None]) -> int:
    return len(cue.text[:place].translate(table))


def replaced(lacking: Set[str]) -> dict[int, str | None]:
    """The letters that no font has, for str.translate; in either case of theirs."""
    every = lacking | {letter for other in lacking for letter in other.lower() if len(other.lower()) == 1}
    return {ord(letter): " " if unicodedata.category(letter) == BLANK else None for letter in every}


def warnings(texts: Iterable[str], lacking: Set[str]) -> list[PlanWarning]:
    """A warning for each caption, counted from 1, that lacks letters; of very many the first ones."""
    table = replaced(lacking)
    amiss = {chr(code) for code, other in table.items() if other is None} - SELECTORS
    found: list[PlanWarning] = []
    for number, text in enumerate(texts, 1):
        letters = "".join(dict.fromkeys(letter for letter in text if letter in amiss))
        if letters:
            told = f"caption {number}: no font here has {letters[:40]}, which is left out; give one as url_font."
            found.append(PlanWarning("MISSING_GLYPHS", told, {"cue": str(number), "characters": letters[:200]}))
    return found[:MAX_TOLD]

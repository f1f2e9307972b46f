"""Letters of captions that no font has: dropped and reported, rather than drawn as boxes. Pure."""

import unicodedata
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

from apigpu.v1 import video_pb2
from encoder.captions.formats import MARK, Cue
from encoder.captions.karaoke import Word

# These draw nothing of their own: controls, joiners, blanks, surrogates. Blanks that a font lacks become plain ones.
UNDRAWN = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
BLANK = "Zs"
# Selectors of a letter's variant and of skin: nothing is amiss without them.
SELECTORS = {*map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0000, 0xE01F0))}
MAX_WARNINGS = 40


def required_letters(texts: Iterable[str], *, capitals: bool = False) -> set[str]:
    """Return the letters that it takes to draw the texts of captions."""
    letters = set("".join(MARK.sub("", text) for text in texts))
    if capitals:
        letters = set("".join(map(str.upper, letters)))
    return {letter for letter in letters if letter == " " or unicodedata.category(letter) not in UNDRAWN[:-1]}


def drop_from_cue(cue: Cue, missing: Set[str]) -> Cue:
    """Return a cue without the letters that no font has."""
    table = translation_table(missing)
    times = tuple((_shift(place, cue, table), time) for place, time in cue.word_times)
    return replace(cue, text=cue.text.translate(table), word_times=times)


def drop_from_words(words: Iterable[Word], cue: Cue, missing: Set[str]) -> list[Word]:
    """Return the words of a cue with their places in the cue without the letters that no font has."""
    table = translation_table(missing)
    return [replace(word, first=_shift(word.first, cue, table), end=_shift(word.end, cue, table)) for word in words]


def _shift(place: int, cue: Cue, table: Mapping[int, str | None]) -> int:
    return len(cue.text[:place].translate(table))


def translation_table(missing: Set[str]) -> dict[int, str | None]:
    """Return a table for str.translate that drops the missing letters, in either case of theirs."""
    both_cases = missing | {letter for other in missing for letter in other.lower() if len(other.lower()) == 1}
    return {ord(letter): " " if unicodedata.category(letter) == BLANK else None for letter in both_cases}


def missing_glyph_warnings(texts: Iterable[str], missing: Set[str]) -> list[video_pb2.Warning]:
    """Return a warning for each caption, counted from 1, that misses letters; at most MAX_WARNINGS."""
    table = translation_table(missing)
    undrawn = {chr(code) for code, other in table.items() if other is None} - SELECTORS
    warnings: list[video_pb2.Warning] = []
    for number, text in enumerate(texts, 1):
        letters = "".join(dict.fromkeys(letter for letter in text if letter in undrawn))
        if letters:
            message = f"caption {number}: no font here has {letters[:40]}, which is left out; give one as url_font."
            metadata = {"cue": str(number), "characters": letters[:200]}
            warnings.append(video_pb2.Warning(reason="MISSING_GLYPHS", message=message, metadata=metadata))
    return warnings[:MAX_WARNINGS]

"""Captions in capitals, by the rules of their language.

Source: SpecialCasing.txt of Unicode (Turkish, Azeri, Lithuanian) and el-Upper of CLDR (Greek leaves accents out). What
they say of Dutch (IJ) and German (ß becomes SS) holds in any language.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from encoder.captions.formats import MARK, Cue
from encoder.captions.karaoke import Word

# By what tools call a language, its code of ISO 639-1.
CODES = {
    **dict.fromkeys(("tr", "tur", "turkish", "türkçe", "az", "aze", "azerbaijani", "crh"), "tr"),
    **dict.fromkeys(("el", "ell", "gre", "greek"), "el"),
    **dict.fromkeys(("lt", "lit", "lithuanian"), "lt"),
}
DOTLESS, DOT = "ı", "\u0307"
# Of the letters of Turkish one in twenty is dotless; texts of other languages, which may have it in names, have these.
DOTLESS_SHARE = 0.01
NOT_TURKISH = re.compile("[wqx]", re.IGNORECASE)
SOFT_DOTTED = "ijį"
GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")
STRESS = ("\u0301", "\u0300", "\u0342")
DIAERESIS, IOTA_BELOW = "\u0308", "\u0345"
# Alone it means "or", and keeps its accent to be told from "the".
OR = re.compile(r"(?<!\w)[ήΉ](?!\w)")


def language_of(given: str, texts: Sequence[str]) -> str:
    """Return the code of the language whose rules count: as it is given (BCP 47, ISO 639 or its English name), or as
    the letters of the texts tell; "" for the common rules."""
    name = re.split("[-_ ]", given.strip().lower(), maxsplit=1)[0]
    if name:
        return CODES.get(name, "")
    dotless, letters = sum(text.count(DOTLESS) for text in texts), sum(map(len, texts))
    return "tr" if dotless > DOTLESS_SHARE * letters and not any(map(NOT_TURKISH.search, texts)) else ""


def capitalize(cue: Cue, words: Sequence[Word], language: str) -> tuple[Cue, list[Word]]:
    """Return a cue in capitals, and its words where they stand then."""
    parts: list[str] = []
    position = 0
    for match in MARK.finditer(cue.text):
        parts += [*capitals(cue.text[position : match.start()], language), *match[0]]
        position = match.end()
    parts += capitals(cue.text[position:], language)
    places = list(accumulate(map(len, parts), initial=0))
    times = tuple((places[at], time) for at, time in cue.word_times)
    moved = [replace(word, first=places[word.first], end=places[word.end]) for word in words]
    return replace(cue, text="".join(parts), word_times=times), moved


def capitals(text: str, language: str) -> list[str]:
    """Return what each letter of a text becomes."""
    letters = list(text)
    if language == "tr":
        letters = ["İ" if letter == "i" else letter for letter in letters]
    if language in ("tr", "lt") and DOT in text:
        letters = [
            "" if letter == DOT and at and text[at - 1] in SOFT_DOTTED else letter for at, letter in enumerate(letters)
        ]
    if language == "el":
        letters = [_greek(text, at) for at in range(len(text))]
        for match in OR.finditer(text):
            letters[match.start()] = "Ή"
    return list(map(str.upper, letters))


def _greek(text: str, at: int) -> str:
    """Return a letter of Greek without its accents. A second vowel that the accent kept apart gets a diaeresis."""
    if not GREEK.match(text[at]):
        return text[at]
    parts = unicodedata.normalize("NFD", text[at])
    base, marks = parts[0], parts[1:]
    has_diaeresis = DIAERESIS in marks
    if at and text[at] in "ιυ" and GREEK.match(text[at - 1]):
        before = unicodedata.normalize("NFD", text[at - 1])
        has_diaeresis = before[0].lower() in "αεηοω" and any(mark in before for mark in STRESS)
    shown = base.upper() + (DIAERESIS if has_diaeresis else "") + ("Ι" if IOTA_BELOW in marks else "")
    return unicodedata.normalize("NFC", shown)

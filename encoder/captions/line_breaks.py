"""Where a line of text may be broken, in any script, by ICU: UAX #14, with dictionaries for Thai, Lao, Khmer, Burmese.

Pure, but for ICU's data. All places are counted in code points.
"""

import re
import unicodedata
from collections.abc import Iterable
from itertools import accumulate

from icu4py.breakers import CharacterBreaker, LineBreaker

# The rules are the same in every language, the strict ones where Japanese has two; but lines of Japanese end with a
# phrase, where there is a choice.
LOCALE, PHRASES = "en", "ja@lw=phrase"
KANA = re.compile("[\u3041-\u30ff]")
SOFT_HYPHEN, HYPHEN = "\u00ad", "-"
# Scripts of South East Asia that put no blanks between words: line-breaking class SA of UAX #14.
DICTIONARY_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf\U00011700-\U0001174f"
)
# Class ID and its like: words of these have no blanks between them either.
IDEOGRAPHIC = (
    "\u2e80-\u312f\u3190-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
)
HANGUL = "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
UNSPACED = re.compile(f"[{DICTIONARY_SCRIPTS}{IDEOGRAPHIC}]")
# What libass does not break as it should: all but blanks, though it may know more.
UNBROKEN = re.compile(r"[^ \t\n]+")
# None of these is wider than its line is high.
NARROW = re.compile(f"[\n\x20-\xac\xae-\u052f\u2010-\u2027{HANGUL}\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]*")

# Read as one letter: vowels that are written before their consonant, and those that are written after it.
LEADING = re.compile("[\u0e40-\u0e44\u0ec0-\u0ec4]")
TRAILING = re.compile("[\u0e2f\u0e30\u0e32\u0e33\u0e45\u0e46\u0eaf\u0eb0\u0eb2\u0eb3\u0ec6\u17d4-\u17d7]")
VOWELS = "aeiouy\u00e6\u00f8\u0153\u0131αεηιουωаеиоуыэюяєі"
# A consonant without a vowel, which ends a syllable of Burmese.
FINAL = re.compile(".[\u1039\u103a]|.\u1037\u103a", re.DOTALL)


def break_places(text: str) -> list[int]:
    """Return the places where a line may end, the end of the text included. Blanks stand before the place."""
    return _ends(LineBreaker(text, PHRASES if KANA.search(text) else LOCALE))


def unspaced_places(text: str) -> list[int]:
    """Return the places within a text without blanks where one word ends and another begins, in scripts that have no
    blanks between words; of scripts that have them none."""
    if not UNSPACED.search(text):
        return []
    places = _ends(LineBreaker(text, LOCALE))[:-1]
    return [place for place in places if UNSPACED.match(text, place - 1) or UNSPACED.match(text, place)]


def letter_places(text: str) -> list[int]:
    """Return the places between letters as they are read, never within one; the end of the text included."""
    ends = _ends(CharacterBreaker(text, LOCALE))
    return [end for end in ends if end == len(text) or not _parts_letter(text, end)]


def syllable_places(text: str) -> list[int]:
    """Return those of letter_places where a syllable may begin; alphabets have them before a consonant and a vowel."""
    return [end for end in letter_places(text) if end == len(text) or _begins_syllable(text, end)]


def _ends(parts: Iterable[str]) -> list[int]:
    # Of the parts themselves, as ICU's own places are counted in UTF-16.
    return list(accumulate(map(len, parts)))


def _parts_letter(text: str, place: int) -> bool:
    return bool(
        LEADING.match(text, place - 1)
        or TRAILING.match(text, place)
        or FINAL.match(text, place)
        or unicodedata.category(text[place]).startswith("M")
    )


def _begins_syllable(text: str, place: int) -> bool:
    if not takes_hyphen(text[place - 1], text[place]):
        return True
    return place > 1 and not _is_vowel(text[place]) and any(map(_is_vowel, text[place + 1 : place + 2]))


def _is_vowel(letter: str) -> bool:
    return unicodedata.normalize("NFD", letter)[0].lower() in VOWELS


def is_narrow(text: str) -> bool:
    """Return True for text of letters that are known to be no wider than their line is high, without soft hyphens."""
    return NARROW.fullmatch(text) is not None


def takes_hyphen(before: str, after: str) -> bool:
    """Return True if a break between two letters of a word is shown by a hyphen: in alphabets that hyphenate, which are
    those with small and capital letters. Addresses and numbers are left as they are."""
    return all(letter.isalpha() and letter.lower() != letter.upper() for letter in (before, after))


def direction(text: str) -> str:
    """Return "R" or "L" by the first letter that has a direction, "" for none: how libass runs a line."""
    return next(filter(None, map(_strong, text)), "")


def _strong(letter: str) -> str:
    return {"L": "L", "R": "R", "AL": "R"}.get(unicodedata.bidirectional(letter), "")

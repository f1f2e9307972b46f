"""Guesses at the encoding of subtitles that are older than UTF-8 and do not say what they are in.

Two detectors judge, chardet (statistics of languages) and cchardet (those of Mozilla), and what each encoding would
make of the words: scripts mixed in one word, signs and capitals within one are no language. They are shown the lines
with letters alone: digits, times and tags, which are alike in all encodings, drown these. What is missed is of a few
short words.
"""

import codecs
import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator

import cchardet
import chardet

# What is guessed, by the codec's name, and its name for people.
GUESSED = {
    **{f"cp{number}": f"windows-{number}" for number in (*range(1250, 1259), 874)},
    **{f"iso8859-{number}": f"ISO-8859-{number}" for number in (2, 5, 6, 7, 8, 9, 13, 15)},
    **{f"cp{number}": f"CP{number}" for number in (850, 852, 866)},
    "koi8-r": "KOI8-R",
    "koi8-u": "KOI8-U",
    "gb18030": "GB18030",
    "big5hkscs": "Big5-HKSCS",
    "cp932": "Shift_JIS",
    "euc_jis_2004": "EUC-JP",
    "cp949": "EUC-KR",
}
# What the second detector's names mean here.
SECOND = {
    "ISO-8859-1": "cp1252",
    "SHIFT_JIS": "cp932",
    "EUC-JP": "euc_jis_2004",
    "EUC-KR": "cp949",
    "UHC": "cp949",
    "BIG5": "big5hkscs",
    "TIS-620": "cp874",
    "ISO-8859-11": "cp874",
    "IBM866": "cp866",
    "IBM852": "cp852",
}
# How much the second detector's word adds to the first's, which is often below 0.1 for a line, and at 0.5 for many.
SECOND_WEIGHT = 0.03
# Most files of which nothing is known are in this.
USUAL, USUAL_BENEFIT = "cp1252", 1.3
NO_LANGUAGE = 0.97
SPARE = 1e-3

SAMPLE_BYTES = 200_000
JUDGED_BYTES = 8_000
# Tags and digits; no second byte of a letter is taken for one.
MARKS = re.compile(rb"(?<![\x80-\xff])(?:<[\x20-\x7e]{0,200}?>|\{[\x20-\x7e]{0,200}?\}|[0-9]+)")
WORD = re.compile(r"[^\s\x00-\x40\x5b-\x60\x7b-\x7e\xa0«»“”„‘’—–…¡¿、。！？，：；「」『』・]+")
SIGN = "a sign"
CHINESE = ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH")


def candidates(data: bytes) -> Iterator[str]:
    """Yield codecs that a file may be in, the likeliest first."""
    sample = _sample(data)
    found = chardet.detect_all(sample, ignore_threshold=True, include_encodings=GUESSED, compat_names=False)
    weights = {str(each["encoding"]): float(each["confidence"] or 0) for each in found}
    second = cchardet.detect(sample)
    name = str(second["encoding"] or "")
    codec = SECOND.get(name) or next((known for known, shown in GUESSED.items() if shown.upper() == name), "")
    weights[codec] = weights.get(codec, 0.0) + SECOND_WEIGHT * float(second["confidence"] or 0)
    weights[USUAL] = weights.get(USUAL, 0.0) * USUAL_BENEFIT
    judged = sample[:JUDGED_BYTES]
    scores = {codec: (SPARE + weight) * _likeness(judged, codec) for codec, weight in weights.items()}
    yield from sorted((codec for codec, score in scores.items() if score), key=lambda codec: -scores[codec])


def _sample(data: bytes) -> bytes:
    sample = bytearray()
    for line in data.splitlines():
        if not line.isascii():
            sample += MARKS.sub(b" ", line[:SAMPLE_BYTES]) + b"\n"
        if len(sample) > SAMPLE_BYTES:
            break
    return bytes(sample[:SAMPLE_BYTES])


def _likeness(sample: bytes, codec: str) -> float:
    """Return how much of what a codec makes of a sample looks like words, from 1 to nearly 0; 0 where it does not
    fit."""
    if codec not in GUESSED:
        return 0.0
    try:
        text = codecs.getincrementaldecoder(codec)().decode(sample)
    except UnicodeDecodeError:
        return 0.0
    words = [word for word in WORD.findall(text) if not word.isascii()]
    return 1 - NO_LANGUAGE * sum(map(_is_odd, words)) / max(len(words), 1)


def _is_odd(word: str) -> bool:
    scripts = set(map(_script, word)) - {""}
    has_capitals_within = any(a.islower() and b.isupper() for a, b in itertools.pairwise(word))
    return len(scripts) > 1 or SIGN in scripts or has_capitals_within


@functools.lru_cache(maxsize=10_000)
def _script(letter: str) -> str:
    """Return the script of a letter; "" for what may stand in a word of any, SIGN for what stands in none."""
    kind = unicodedata.category(letter)[0]
    if kind != "L":
        return "" if kind == "M" or letter.isascii() else SIGN
    name = unicodedata.name(letter, SIGN).partition(" ")[0]
    return CHINESE[0] if name in CHINESE else name

"""Unicode normalization that takes linear time.

Python sorts the marks above and below a letter by insertion: a letter with 100,000 of them takes a minute, and holds
the interpreter's lock. So text is made stream-safe first (Unicode Standard Annex #15, section 13): a letter keeps its
first 30 marks, which is more than any script has.
"""

import re
import unicodedata
from typing import Literal

MAX_MARKS = 30
# What stands before U+00A0 neither is a mark nor brings one along.
MAYBE_MARKS = re.compile(f"[\u00a0-\U0010ffff]{{{MAX_MARKS + 1},}}")


def normalize(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
    """Return the text in a normalization form, without the marks that a letter has beyond MAX_MARKS."""
    return unicodedata.normalize(form, stream_safe(text))


def stream_safe(text: str) -> str:
    """Return the text without the marks that a letter has beyond MAX_MARKS, however they are written."""
    return text if text.isascii() else MAYBE_MARKS.sub(lambda match: _drop_marks(match[0]), text)


def _drop_marks(letters: str) -> str:
    kept: list[str] = []
    count = 0
    for letter in letters:
        marks, is_mark = _count_marks(letter)
        if is_mark and count + marks > MAX_MARKS:
            continue
        kept.append(letter)
        count = count + marks if is_mark else marks
    return "".join(kept)


def _count_marks(letter: str) -> tuple[int, bool]:
    """Return how many marks stand at the end of what a character decomposes into, and True if that is all of it."""
    if not unicodedata.combining(letter) and not unicodedata.decomposition(letter):
        return 0, False
    parts = unicodedata.normalize("NFKD", letter)
    marks = 0
    while marks < len(parts) and unicodedata.combining(parts[-1 - marks]):
        marks += 1
    return marks, marks == len(parts)

"""What errors repeat of their caller's input: enough to find the place, and no more.

gRPC sends the text of an error twice, once percent-encoded in a header, and clients refuse headers over 8 KiB.
"""

import re

MAX_ECHO_LETTERS = 200
MAX_TEXT_LETTERS = 1_000
MAX_TEXT_BYTES = 1_200
# Of a longer text nothing behind that would be left.
MAX_READ_LETTERS = 100_000
# Words, and what stands in quotes.
_ECHOES = re.compile(r"""(?<!\S)\S{201,}|"[^"]{201,}"|(?<!\w)'[^']{201,}'""")


def brief(text: str, letters: int = MAX_ECHO_LETTERS) -> str:
    """Return text of a caller as an error may repeat it: cut to so many letters, the last one "…"."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def shorten(text: str) -> str:
    """Return the text of an error with each word and each quotation in it cut, and the whole."""
    if len(text) <= MAX_ECHO_LETTERS:
        return text
    text = brief(_ECHOES.sub(lambda found: brief(found[0]), text[:MAX_READ_LETTERS]), MAX_TEXT_LETTERS)
    encoded = text.encode(errors="replace")
    if len(encoded) <= MAX_TEXT_BYTES:
        return text
    return encoded[: MAX_TEXT_BYTES - 3].decode(errors="ignore") + "…"

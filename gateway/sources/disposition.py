"""The filename in a Content-Disposition header, in one pass over what of it is read.

Source: RFC 6266; RFC 8187 for `filename*`. Python's own parser takes time in the square of the header's length.
"""

import re
from urllib.parse import unquote_to_bytes

# Longer ones are cut: a file name has 255 bytes at most, three letters each when they are escaped.
MAX_CHARACTERS = 2048
CHARSETS = ("utf-8", "iso-8859-1")
# A parameter after its semicolon: a name, and a value in quotes or a token. Each letter is matched in one way only.
_PARAMETER = re.compile(r';[ \t]*([A-Za-z*]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;"]*))')


def filename(header: str) -> str:
    """Return the filename, `filename*` before `filename`; not yet safe as the name of a file. "" without one."""
    given: dict[str, str] = {}
    for name, quoted, token in _PARAMETER.findall(header[:MAX_CHARACTERS]):
        given.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or token.strip())
    return _extended(given.get("filename*", "")) or _octets(given.get("filename", ""))


def _extended(value: str) -> str:
    """Decode charset'language'escaped; "" where it is malformed."""
    charset, _, rest = value.partition("'")
    _, quote, escaped = rest.partition("'")
    if not quote or charset.lower() not in CHARSETS:
        return ""
    try:
        return unquote_to_bytes(escaped).decode(charset)
    except UnicodeDecodeError:
        return ""


def _octets(value: str) -> str:
    """Return a plain value, whose letters beyond ASCII are UTF-8 in most servers though they should be Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value

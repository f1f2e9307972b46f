"""data: URIs: small inputs that stand in the request itself. They become assets when a job is submitted.

Source: RFC 2397, and what browsers take beside it: blanks in base64, its alphabet for URLs, missing padding.
"""

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from gateway.assets.record import VIDEO_SUFFIX, clean_filename, name_for_type
from servicekit import media_types
from servicekit.errors import InvalidArgument

SCHEME = "data:"
# What may stand before the comma: a media type, its parameters, and a name.
MAX_HEAD_CHARACTERS = 1024
DEFAULT_TYPE = "text/plain"
BASE64 = "base64"
_BLANKS = b" \t\r\n\f"
_NAMES = ("name", "filename")


@dataclass(frozen=True)
class InlineFile:
    """What a data: URI holds. Where it gives no filename, that follows from the media type; no `charset` is ""."""

    filename: str
    content_type: str
    data: bytes
    charset: str = ""


def is_inline(text: str) -> bool:
    """Return True for a data: URI."""
    return text.lstrip()[: len(SCHEME)].lower() == SCHEME


def check(text: str) -> None:
    """Hold what stands before the data against its form; the data itself is not read. Raises InvalidArgument."""
    _split(text)


def parse(text: str) -> InlineFile:
    """Return the file in a data: URI. Raises InvalidArgument."""
    media_type, parameters, data = _split(text)
    content = unquote_to_bytes(data)
    if BASE64 in parameters:
        content = _decoded(content)
    if not content:
        raise _bad("holds no byte; give a file, or leave the field out")
    given = next((parameters[name] for name in _NAMES if parameters.get(name)), "")
    name = clean_filename(unquote(given.strip('"'))) or name_for_type(f"input{VIDEO_SUFFIX}", media_type)
    return InlineFile(name, media_type, content, media_types.known_name(parameters.get("charset", "").strip("\"'")))


def _split(text: str) -> tuple[str, dict[str, str], str]:
    """Return the media type, the parameters by name, and what follows the comma."""
    text = text.strip()
    comma = text.find(",", 0, MAX_HEAD_CHARACTERS)
    if comma < 0:
        raise _bad('needs a comma before its data, like "data:text/plain;base64,SGk="')
    media_type, *rest = text[len(SCHEME) : comma].split(";")
    pairs = (part.partition("=") for part in rest)
    parameters = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return media_type.strip().lower() or DEFAULT_TYPE, parameters, text[comma + 1 :]


def _decoded(content: bytes) -> bytes:
    bare = content.translate(bytes.maketrans(b"-_", b"+/"), _BLANKS).rstrip(b"=")
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise _bad("says that it is base64, and is not; encode the file again") from error


def _bad(text: str) -> InvalidArgument:
    return InvalidArgument(f"The data: URI {text}.", reason="BAD_URL")

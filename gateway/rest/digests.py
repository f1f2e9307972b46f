"""Digests of bodies in request headers: what a client announces is compared, or refused where it cannot be read.

Source: RFC 9530 (Content-Digest, Repr-Digest: dictionaries of RFC 8941), RFC 3230 (Digest).
"""

import base64
import binascii
import hashlib
import re

from starlette.datastructures import Headers

from servicekit.errors import InvalidArgument

ALGORITHM = "sha-256"
SHA256_BYTES = 32
# The members of a header with commas between them: an algorithm, and its value as the first group that matched.
_STRUCTURED = re.compile(r"[ \t]*([A-Za-z*][\w.*-]*)=:([A-Za-z0-9+/=]*):[ \t]*")
_PLAIN = re.compile(r"[ \t]*([A-Za-z*][\w.*-]*)=([A-Za-z0-9+/=]+)[ \t]*")
FORMS = {"content-digest": _STRUCTURED, "repr-digest": _STRUCTURED, "digest": _PLAIN}
MAX_CHARACTERS = 1000


def announced_sha256(headers: Headers) -> str:
    """Return the SHA-256 in Content-Digest, Repr-Digest or Digest, hexadecimal; "" where there is no such header.

    Raises InvalidArgument for a header that cannot be read or has no SHA-256, and for two that differ: a client that
    announces a digest relies on its being compared.
    """
    found = {
        value: name
        for name, form in FORMS.items()
        if name in headers
        for value in _values(name, ",".join(headers.getlist(name)), form)
    }
    if len(found) > 1:
        names = sorted(set(found.values()))
        raise _refusal(", ".join(names), f"{ALGORITHM} is given with different values", names)
    return next(iter(found), "")


def verify(headers: Headers, content: bytes) -> None:
    """Compare a body that was read whole with the digest announced, if any. Raises InvalidArgument."""
    announced = announced_sha256(headers)
    if announced and hashlib.sha256(content).hexdigest() != announced:
        names = [name for name in FORMS if name in headers]
        text = f"The SHA-256 of the body is not the one in {', '.join(names)}; send the request again."
        raise InvalidArgument(text, reason="DIGEST_MISMATCH", fields=dict.fromkeys(names, "another digest"))


def _values(name: str, header: str, form: re.Pattern[str]) -> set[str]:
    """Return the SHA-256 values of one header, hexadecimal."""
    if len(header) > MAX_CHARACTERS:
        raise _refusal(name, f"over {MAX_CHARACTERS} characters", [name])
    members = [form.fullmatch(member) for member in header.split(",")]
    values = {_sha256(name, member[2]) for member in members if member and member[1].lower() == ALGORITHM}
    if not all(members) or not values:
        raise _refusal(name, "cannot be read" if not all(members) else f"has no {ALGORITHM}", [name])
    return values


def _sha256(name: str, text: str) -> str:
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        value = b""
    if len(value) != SHA256_BYTES:
        raise _refusal(name, f"its {ALGORITHM} is not {SHA256_BYTES} bytes in base64", [name])
    return value.hex()


def _refusal(name: str, fault: str, fields: list[str]) -> InvalidArgument:
    text = f"{name}: {fault}; write `Content-Digest: {ALGORITHM}=:<base64>:`, or leave the header out."
    return InvalidArgument(text, reason="BAD_DIGEST", fields=dict.fromkeys(fields, fault))

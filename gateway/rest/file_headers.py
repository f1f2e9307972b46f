"""Conditional and range requests for one file, by RFC 9110: which bytes a client wants, or that it has them already."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote

from starlette.datastructures import Headers

from gateway.rest.status import RangeNotSatisfiable

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,19})-([0-9]{0,19})", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """`length` bytes from `start` on."""

    start: int
    length: int


@dataclass(frozen=True)
class Validators:
    """By which a client knows whether a file is the one it has: a strong ETag, and the time of the last change."""

    etag: str
    modified_at: datetime

    @property
    def last_modified(self) -> str:
        """The time as an HTTP date."""
        return format_datetime(self.modified_at.astimezone(UTC), usegmt=True)

    def has_it(self, headers: Headers) -> bool:
        """Whether the client's copy, by If-None-Match or else If-Modified-Since, is this file."""
        known = headers.get("if-none-match")
        if known is not None:
            tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
            return "*" in tags or self.etag in tags
        since = _date(headers.get("if-modified-since", ""))
        return since is not None and self.modified_at.replace(microsecond=0) <= since

    def allow_range(self, headers: Headers) -> bool:
        """Whether a Range holds: If-Range is absent, or names this very file."""
        known = headers.get("if-range")
        return known is None or known.strip() in (self.etag, self.last_modified)


def requested_span(headers: Headers, size_bytes: int, validators: Validators) -> Span | None:
    """The part that the Range header asks for; None for the whole: no Range, several, or one that cannot be read.

    Raises RangeNotSatisfiable.
    """
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if not found or found[1] == found[2] == "" or not validators.allow_range(headers):
        return None
    if not found[1]:  # the last so many bytes
        length = min(int(found[2]), size_bytes)
        if not length:
            raise RangeNotSatisfiable(size_bytes)
        return Span(size_bytes - length, length)
    start, end = int(found[1]), int(found[2] or size_bytes - 1)
    if found[2] and end < start:
        return None
    if start >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return Span(start, min(end, size_bytes - 1) - start + 1)


def _date(text: str) -> datetime | None:
    try:
        made = parsedate_to_datetime(text)
    except ValueError:
        return None
    return made if made.tzinfo else made.replace(tzinfo=UTC)


OCTETS = "application/octet-stream"
# What a browser makes of a stored file may show media, and run and send nothing.
FILE_CSP = (
    "default-src 'none'; media-src 'self'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'none'"
)


def disposition(kind: str, filename: str) -> str:
    """Content-Disposition: `kind` is "inline" or "attachment". Source: RFC 6266, RFC 8187."""
    if not filename:
        return kind
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\%' else "_" for char in filename)
    extended = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'{kind}; filename="{plain}"{extended}'


def is_harmless(content_type: str) -> bool:
    """Whether a browser may open a file of this type in place: media and plain text; SVG can hold scripts and links."""
    is_media = content_type.startswith(("video/", "audio/", "image/")) and not content_type.startswith("image/svg")
    return is_media or content_type == "text/plain"


def media_type(content_type: str) -> str:
    """Content-Type of a file: text without a character set is UTF-8; without any type it is octets."""
    if content_type.startswith("text/") and "charset" not in content_type:
        return f"{content_type}; charset=utf-8"
    return content_type or OCTETS


def etag(sha256: str) -> str:
    """ETag of a content."""
    return f'"{sha256}"'

"""Conditional and range requests for one file, by RFC 9110: which bytes a client wants, or that it has them already."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

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


def wanted(headers: Headers, size_bytes: int, validators: Validators) -> Span | None:
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

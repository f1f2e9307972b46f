"""GET /files/{id}/{filename}: stored files by signed link, without a key.

Conditional and range requests follow RFC 9110, so that a browser can seek.
"""

import re
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore, StoredAsset, TransferSlots
from gateway.rest.request import end_response, send_body, start_response, while_connected
from gateway.rest.status import MethodNotAllowed, RangeNotSatisfiable

OCTETS = "application/octet-stream"
# A stored file that a browser opens may show media, but run and send nothing.
FILE_CSP = (
    "default-src 'none'; media-src 'self'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'none'"
)
_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,19})-([0-9]{0,19})", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """`length` bytes from `start` on."""

    start: int
    length: int


@dataclass(frozen=True)
class Validators:
    """Validators of a file for conditional requests: a strong ETag, and the time of the last change."""

    etag: str
    modified_at: datetime

    @property
    def last_modified(self) -> str:
        """Return the time as an HTTP date."""
        return format_datetime(self.modified_at.astimezone(UTC), usegmt=True)

    def is_not_modified(self, headers: Headers) -> bool:
        """Return True if the client has this file, by If-None-Match or else If-Modified-Since."""
        none_match = headers.get("if-none-match")
        if none_match is not None:
            tags = [tag.strip().removeprefix("W/") for tag in none_match.split(",")]
            return "*" in tags or self.etag in tags
        since = _parse_date(headers.get("if-modified-since", ""))
        return since is not None and self.modified_at.replace(microsecond=0) <= since

    def allow_range(self, headers: Headers) -> bool:
        """Return True if If-Range is absent or names this file, so that Range applies."""
        if_range = headers.get("if-range")
        return if_range is None or if_range.strip() in (self.etag, self.last_modified)


def requested_span(headers: Headers, size_bytes: int, validators: Validators) -> Span | None:
    """Return the part that the Range header requests; None (the whole file) for no range, several, or a malformed one.

    Raises RangeNotSatisfiable.
    """
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if not found or found[1] == found[2] == "" or not validators.allow_range(headers):
        return None
    if not found[1]:  # a suffix: the last N bytes
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


def _parse_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


@dataclass(frozen=True)
class SignedFiles:
    """ASGI application of one path, with the path parameters `id` and `filename`."""

    assets: AssetStore
    links: LinkSigner
    transfers: TransferSlots
    stall_seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises ServiceError, ClientGone."""
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(scope["method"], "A link to a file", ["GET"])
        asset_id, query = scope["path_params"]["id"], QueryParams(scope["query_string"])
        expires = query.get("expires", "")
        self.links.verify(asset_id, expires, query.get("signature", ""))
        asset = await self.assets.describe(asset_id)
        status, headers, span = _response(asset, Headers(scope=scope), is_head=scope["method"] == "HEAD")
        kind = "inline" if is_safe_inline(asset.content_type) and query.get("download") != "1" else "attachment"
        headers |= {
            "content-disposition": disposition(kind, asset.filename or scope["path_params"]["filename"]),
            "cache-control": f"private, no-transform, max-age={max(0, int(expires) - int(time.time()))}",
        }
        has_body = span.length > 0 and scope["method"] == "GET" and status != 304
        await while_connected(receive, self._send(asset.id, status, headers, span if has_body else None, send))

    async def _send(self, asset_id: str, status: int, headers: dict[str, str], span: Span | None, send: Send) -> None:
        if span is None:
            await start_response(send, status, headers.items())
        else:
            with self.transfers.acquire():
                async with aclosing(self.assets.read(asset_id, span.start, span.length)) as chunks:
                    first = await anext(chunks)  # before the response starts, so that an error has a status of its own
                    await start_response(send, status, headers.items())
                    await send_body(send, first, self.stall_seconds)
                    async for data in chunks:
                        await send_body(send, data, self.stall_seconds)
        await end_response(send)


def _response(asset: StoredAsset, headers: Headers, *, is_head: bool) -> tuple[int, dict[str, str], Span]:
    """Return status, headers and the bytes to send. Raises RangeNotSatisfiable."""
    validators = Validators(f'"{asset.sha256}"', asset.created_at)
    common = {
        "accept-ranges": "bytes",
        "content-security-policy": FILE_CSP,
        "etag": validators.etag,
        "last-modified": validators.last_modified,
    }
    whole = Span(0, asset.size_bytes)
    if validators.is_not_modified(headers):
        return 304, common, whole
    # Range is defined for GET alone.
    span = None if is_head else requested_span(headers, asset.size_bytes, validators)
    content = {"content-type": media_type(asset.content_type), "content-length": str((span or whole).length)}
    if span is None:
        return 200, common | content, whole
    content["content-range"] = f"bytes {span.start}-{span.start + span.length - 1}/{asset.size_bytes}"
    return 206, common | content, span


def disposition(kind: str, filename: str) -> str:
    """Return Content-Disposition; `kind` is "inline" or "attachment". Source: RFC 6266, RFC 8187."""
    if not filename:
        return kind
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\%' else "_" for char in filename)
    extended = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'{kind}; filename="{plain}"{extended}'


def is_safe_inline(content_type: str) -> bool:
    """Return True for types that browsers may open in place: media and plain text, but not SVG, which holds scripts."""
    is_media = content_type.startswith(("video/", "audio/", "image/")) and not content_type.startswith("image/svg")
    return is_media or content_type == "text/plain"


def media_type(content_type: str) -> str:
    """Return Content-Type of a file: text without a charset is UTF-8, no type at all is octets."""
    if content_type.startswith("text/") and "charset" not in content_type:
        return f"{content_type}; charset=utf-8"
    return content_type or OCTETS

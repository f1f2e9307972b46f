"""GET /files/{id}/{filename}: stored files by signed link, without a key.

Conditional and range requests follow RFC 9110, so that a browser can seek.
"""

import re
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from gateway.assets.direct import DirectLinks
from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.rest.request import client_of, end_response, send_body, start_response, while_connected
from gateway.rest.responses import has_tag
from gateway.rest.status import MethodNotAllowed, RangeNotSatisfiable

OCTETS = "application/octet-stream"
# A stored file that a browser opens may show media, but run and send nothing.
FILE_CSP = (
    "default-src 'none'; media-src 'self'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'none'"
)
_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,19})-([0-9]{0,19})", re.IGNORECASE)


def requested_range(headers: Headers, size_bytes: int, validators: Sequence[str]) -> range | None:
    """Return the bytes that the Range header requests; None (the whole file) for no range, several, or a malformed one,
    and for an If-Range that is none of the file's `validators`. Raises RangeNotSatisfiable.
    """
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if not found or found[1] == found[2] == "" or headers.get("if-range", validators[0]).strip() not in validators:
        return None
    if not found[1]:  # a suffix: the last N bytes
        length = min(int(found[2]), size_bytes)
        if not length:
            raise RangeNotSatisfiable(size_bytes)
        return range(size_bytes - length, size_bytes)
    start, end = int(found[1]), int(found[2] or size_bytes - 1)
    if found[2] and end < start:
        return None
    if start >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return range(start, min(end + 1, size_bytes))


def _is_not_modified(headers: Headers, etag: str, modified_at: datetime) -> bool:
    """Return True if the client has this file, by If-None-Match or else If-Modified-Since."""
    if "if-none-match" in headers:
        return has_tag(headers, etag)
    try:
        since = parsedate_to_datetime(headers.get("if-modified-since", ""))
    except ValueError:
        return False
    return modified_at.replace(microsecond=0) <= (since if since.tzinfo else since.replace(tzinfo=UTC))


@dataclass(frozen=True)
class SignedFiles:
    """ASGI application of one path, with the path parameters `id` and `filename`."""

    assets: AssetStore
    links: LinkSigner
    transfers: TransferSlots
    stall_seconds: float
    direct: DirectLinks | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises ServiceError, ClientGone."""
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(scope["method"], "A link to a file", ["GET"])
        asset_id, query = scope["path_params"]["id"], QueryParams(scope["query_string"])
        expires = query.get("expires", "")
        self.links.verify(asset_id, expires, query.get("signature", ""))
        asset = await self.assets.describe(asset_id)
        version = FileVersion(asset.sha256, asset.size_bytes, asset.content_type, asset.created_at)
        status, headers, part = version.response(Headers(scope=scope), is_head=scope["method"] == "HEAD")
        kind = "inline" if is_safe_inline(asset.content_type) and query.get("download") != "1" else "attachment"
        if self.direct is not None and kind == "inline" and part:
            location = await self.direct.location(asset, int(expires) - time.time())
            if location is not None:
                moved = {"location": location, "cache-control": "private, no-store", "content-length": "0"}
                await start_response(send, 307, moved.items())
                await end_response(send)
                return
        headers |= {
            "content-disposition": disposition(kind, asset.filename or scope["path_params"]["filename"]),
            "cache-control": f"private, no-transform, max-age={max(0, int(expires) - int(time.time()))}",
        }
        await while_connected(receive, self._send(scope, asset.id, status, headers, part, send))

    async def _send(
        self, scope: Scope, asset_id: str, status: int, headers: dict[str, str], part: range, send: Send
    ) -> None:
        if not part:
            await start_response(send, status, headers.items())
        else:
            async with (
                self.transfers.acquire(f"{asset_id} {client_of(scope)}") as transfer,
                aclosing(self.assets.read(asset_id, part.start, len(part))) as chunks,
            ):
                first = await anext(chunks)  # before the response starts, so that an error has a status of its own
                await start_response(send, status, headers.items())
                await transfer.send(send_body(send, first, self.stall_seconds), len(first))
                del first
                async for data in chunks:
                    await transfer.send(send_body(send, data, self.stall_seconds), len(data))
        await end_response(send)


@dataclass(frozen=True)
class FileVersion:
    """What HTTP knows of a file: what tells its versions apart, its size and its media type."""

    sha256: str
    size_bytes: int
    content_type: str
    created_at: datetime

    def response(self, headers: Headers, *, is_head: bool) -> tuple[int, dict[str, str], range]:
        """Return status, headers and the bytes to send. Raises RangeNotSatisfiable."""
        etag, last_modified = f'"{self.sha256}"', format_datetime(self.created_at.astimezone(UTC), usegmt=True)
        common = {
            "accept-ranges": "bytes",
            "content-security-policy": FILE_CSP,
            "etag": etag,
            "last-modified": last_modified,
        }
        nothing, size_bytes = range(0), self.size_bytes
        if _is_not_modified(headers, etag, self.created_at):
            return 304, common, nothing
        common["content-type"] = media_type(self.content_type)
        # Range is defined for GET alone.
        part = None if is_head else requested_range(headers, size_bytes, (etag, last_modified))
        if part is None:
            return 200, common | {"content-length": str(size_bytes)}, nothing if is_head else range(size_bytes)
        content_range = f"bytes {part.start}-{part.stop - 1}/{size_bytes}"
        return 206, common | {"content-length": str(len(part)), "content-range": content_range}, part


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

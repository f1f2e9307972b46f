"""GET /files/{id}/{filename}: stored files by signed link, without a key, and in ranges, so that a browser can seek."""

import asyncio
import time
from contextlib import aclosing

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore, StoredAsset, TransferSlots
from gateway.rest.file_headers import (
    FILE_CSP,
    Span,
    Validators,
    disposition,
    etag,
    is_harmless,
    media_type,
    requested_span,
)
from gateway.rest.request import ClientGone, while_connected
from gateway.rest.status import MethodNotAllowed

Response = tuple[int, dict[str, str], Span]


class SignedFiles:
    """ASGI application of one path, with the path parameters `id` and `filename`."""

    def __init__(self, assets: AssetStore, links: LinkSigner, transfers: TransferSlots, stall_seconds: float) -> None:
        self._assets = assets
        self._links = links
        self._transfers = transfers
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Raises ServiceError for the boundary to answer."""
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(scope["method"], "A link to a file", ["GET"])
        asset_id, query = scope["path_params"]["id"], QueryParams(scope["query_string"])
        expires = query.get("expires", "")
        self._links.verify(asset_id, expires, query.get("signature", ""))
        asset = await self._assets.describe(asset_id)
        status, headers, span = _response(asset, Headers(scope=scope), is_head=scope["method"] == "HEAD")
        kind = "inline" if is_harmless(asset.content_type) and query.get("download") != "1" else "attachment"
        headers |= {
            "content-disposition": disposition(kind, asset.filename or scope["path_params"]["filename"]),
            "cache-control": f"private, no-transform, max-age={max(0, int(expires) - int(time.time()))}",
        }
        has_body = span.length > 0 and scope["method"] == "GET" and status != 304
        await while_connected(receive, self._send(asset.id, status, headers, span if has_body else None, send))

    async def _send(self, asset_id: str, status: int, headers: dict[str, str], span: Span | None, send: Send) -> None:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        start = {"type": "http.response.start", "status": status, "headers": raw}
        if span is not None:
            chunks = self._assets.read(asset_id, span.start, span.length)
            with self._transfers.acquire():
                async with aclosing(chunks):
                    first = await anext(chunks)  # what fails before it is a plain error
                    await send(start)
                    await send_body(send, first, self._stall_seconds)
                    async for data in chunks:
                        await send_body(send, data, self._stall_seconds)
        else:
            await send(start)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_body(send: Send, data: bytes, stall_seconds: float) -> None:
    """Send a part. Raises ClientGone for who does not take it in time; it can go on from there later."""
    try:
        async with asyncio.timeout(stall_seconds):
            await send({"type": "http.response.body", "body": data, "more_body": True})
    except TimeoutError as error:
        raise ClientGone from error


def _response(asset: StoredAsset, headers: Headers, *, is_head: bool) -> Response:
    """Status, headers and the bytes to send. Raises RangeNotSatisfiable."""
    validators = Validators(etag(asset.sha256), asset.created_at)
    made = {
        "accept-ranges": "bytes",
        "content-security-policy": FILE_CSP,
        "etag": validators.etag,
        "last-modified": validators.last_modified,
    }
    whole = Span(0, asset.size_bytes)
    if validators.has_it(headers):
        return 304, made, whole
    # Range is defined for GET alone.
    span = None if is_head else requested_span(headers, asset.size_bytes, validators)
    made["content-type"] = media_type(asset.content_type)
    made["content-length"] = str((span or whole).length)
    if span is None:
        return 200, made, whole
    made["content-range"] = f"bytes {span.start}-{span.start + span.length - 1}/{asset.size_bytes}"
    return 206, made, span

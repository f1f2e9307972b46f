"""JSON responses: entity tags, conditional requests, compression.

Against BREACH, which reads secrets off the size of compressed responses: errors, which repeat text of the caller, are
never compressed, keys are in no response, and each compressed one is longer by a random number of bytes, since one with
signed links also has names of files. Source: breachattack.com; "Heal the Breach", IEEE 2022.
"""

import asyncio
import base64
import gzip
import hashlib
import io
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from starlette.datastructures import Headers
from starlette.types import Send

from gateway.rest.request import end_response, send_body, start_response

JSON = "application/json"
MIN_GZIP_BYTES = 1024
GZIP_LEVEL = 5
MAX_PADDING_BYTES = 100
# Larger bodies are compressed in a thread.
INLINE_BYTES = 64 * 1024
CODINGS = ("gzip", "x-gzip")


@dataclass(frozen=True)
class JsonBody:
    """A JSON text, its tag and its compressed form, each made when it is first needed."""

    data: bytes

    @cached_property
    def tag(self) -> str:
        """Return a weak tag, which holds for the compressed form too."""
        digest = hashlib.sha256(self.data).digest()[:16]
        return f'W/"{base64.urlsafe_b64encode(digest).decode().rstrip("=")}"'

    @cached_property
    def compressed(self) -> bytes:
        """Return the text by gzip, with a name of random length in its header."""
        buffer, padding = io.BytesIO(), "a" * secrets.randbelow(MAX_PADDING_BYTES)
        with gzip.GzipFile(padding, "wb", GZIP_LEVEL, buffer, mtime=0) as file:
            file.write(self.data)
        return buffer.getvalue()


async def send_json(
    body: JsonBody,
    request: Headers,
    send: Send,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    *,
    is_tagged: bool = False,
    media_type: str = JSON,
) -> None:
    """Respond with the body, compressed if the client takes that; with 304 if it is tagged, and the client has it."""
    common = [*headers, ("vary", "Accept-Encoding")]
    if is_tagged:
        common.append(("etag", body.tag))
        if has_tag(request, body.tag):
            await start_response(send, 304, common)
            await end_response(send)
            return
    data, coding = await _encode(body, request)
    kind, size = ("content-type", media_type), ("content-length", str(len(data)))
    await start_response(send, status, [*common, *coding, kind, size])
    await send_body(send, data)
    await end_response(send)


def has_tag(request: Headers, tag: str) -> bool:
    """Return True if If-None-Match names the tag, by weak comparison (RFC 9110, section 13.1.2)."""
    tags = [known.strip().removeprefix("W/") for known in request.get("if-none-match", "").split(",")]
    return "*" in tags or tag.removeprefix("W/") in tags


async def _encode(body: JsonBody, request: Headers) -> tuple[bytes, list[tuple[str, str]]]:
    if len(body.data) < MIN_GZIP_BYTES or not accepts_gzip(request):
        return body.data, []
    if len(body.data) > INLINE_BYTES:
        await asyncio.to_thread(lambda: body.compressed)
    return body.compressed, [("content-encoding", "gzip")]


def accepts_gzip(request: Headers) -> bool:
    """Return True if Accept-Encoding takes gzip (RFC 9110, section 12.5.3)."""
    known = weights(request.getlist("accept-encoding"))
    return next((known[name] > 0 for name in (*CODINGS, "*") if name in known), False)


def weights(values: Iterable[str]) -> dict[str, float]:
    """Return how much each of what an Accept header lists is wanted, in lower case (RFC 9110, section 12.4.2)."""
    found: dict[str, float] = {}
    for entry in ",".join(values).lower().split(","):
        name, *parameters = entry.split(";")
        found[name.strip()] = min(map(_weight, parameters), default=1.0)
    return found


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0

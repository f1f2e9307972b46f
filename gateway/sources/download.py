"""One answer of a server, read as a source."""

import asyncio
import email.message
from collections.abc import AsyncIterator

import httpx

from gateway.assets.names import clean_filename
from gateway.sources import urls
from gateway.sources.errors import http_errors
from servicekit.chunks import rechunk
from servicekit.errors import FailedPrecondition, ResourceExhausted


class Download:
    """A source on the web, open for reading."""

    def __init__(
        self, asked: httpx.URL, url: httpx.URL, response: httpx.Response, max_bytes: int, deadline: float
    ) -> None:
        """`response` is the open answer of `url`, to which `asked` led; `deadline` is a time of the event loop.

        Raises FailedPrecondition (sent compressed), ResourceExhausted (too large by its own account).
        """
        _require_identity(url, response)
        self.filename = _filename(response, asked, url)
        self.size_bytes = _size_bytes(response)
        self._url = url
        self._response = response
        self._max_bytes = max_bytes
        self._deadline = deadline
        self._limit(self.size_bytes or 0)

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come, in chunks of CHUNK_BYTES, the last one excepted.

        Raises Unavailable (broken off, also short of the length announced), DeadlineExceeded, ResourceExhausted.
        """
        return rechunk(self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        parts, received = self._response.aiter_raw(), 0
        while True:
            with http_errors(self._url):
                async with asyncio.timeout_at(self._deadline):
                    part = await anext(parts, None)
            if part is None:
                return
            received += len(part)
            self._limit(received)
            yield part

    def _limit(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise ResourceExhausted(
                f"{urls.shown(self._url)} is larger than the {self._max_bytes} bytes allowed; use a smaller file.",
                reason="INPUT_TOO_LARGE",
                metadata={"max_bytes": str(self._max_bytes)},
            )


def _require_identity(url: httpx.URL, response: httpx.Response) -> None:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        text = f"{urls.shown(url)} is sent compressed ({encoding[:40]}) though asked not to; upload the file instead."
        raise FailedPrecondition(text, reason="ENCODED_RESPONSE")


def _size_bytes(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length", "")
    # Beside Transfer-Encoding a length means nothing. Source: RFC 9112, section 6.3.
    return int(length) if length.isdecimal() and "transfer-encoding" not in response.headers else None


def _filename(response: httpx.Response, *tried: httpx.URL) -> str:
    """The name that the server gives, else the first of the URLs' own that is one."""
    header = email.message.Message()
    header["Content-Disposition"] = response.headers.get("content-disposition", "")
    try:
        given = header.get_filename() or ""
    except (LookupError, TypeError, ValueError):  # parameters that are nonsense: what the parser raises then
        given = ""
    return next(filter(None, map(clean_filename, [given, *(urls.filename(url) for url in tried)])), "")

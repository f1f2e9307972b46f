"""One POST to a URL of a caller, guarded as downloads are; of the answer only the status is looked at."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from gateway.sources import http_get, urls
from gateway.sources.fetch import http_errors
from gateway.sources.guard import AddressGuard
from gateway.sources.http_get import OriginResponse, Target
from servicekit.errors import DeadlineExceeded


@dataclass(frozen=True)
class Answer:
    """The status of an answer, and the seconds that it asks to wait before the next call (0: none)."""

    status: int
    retry_after_seconds: float


@dataclass(frozen=True)
class Poster:
    """Sends bodies to http(s) URLs, each over a connection of its own, to an address that was checked. Redirects are
    not followed, and no byte of a body is read beyond what came with the head."""

    guard: AddressGuard
    tls: ssl.SSLContext
    connect_seconds: float = 5.0
    total_seconds: float = 15.0

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send the body; return the answer. Raises InvalidArgument, PermissionDenied, NotFound, FailedPrecondition,
        Unavailable, DeadlineExceeded."""
        target = urls.parse(url)
        limit = asyncio.timeout(self.total_seconds)
        try:
            async with limit:
                with http_errors(target):
                    return await self._send(target, _request(target, headers, body))
        except TimeoutError as error:
            text = f"{urls.redact(target)} did not answer within {self.total_seconds:g} s."
            raise DeadlineExceeded(text, reason="FETCH_FAILED") from error

    async def _send(self, url: httpx.URL, request: bytes) -> Answer:
        checked = await self.guard.check(url)
        for address in checked[:-1]:
            try:
                return await self._ask(url, str(address), request)
            except http_get.ConnectFailed:
                continue
        return await self._ask(url, str(checked[-1]), request)

    async def _ask(self, url: httpx.URL, address: str, request: bytes) -> Answer:
        tls, name = self.tls if url.scheme == "https" else None, url.raw_host.decode("ascii").rstrip(".")
        target = Target(address, url.port or urls.SCHEMES[url.scheme], tls, name)
        opened = OriginResponse.open(
            target, request, connect_seconds=self.connect_seconds, head_seconds=self.total_seconds
        )
        async with opened as answer:
            after = answer.header("retry-after")
            seconds = float(after) if after.isascii() and after.isdecimal() and len(after) < 10 else 0.0
            return Answer(answer.status, seconds)


def _request(url: httpx.URL, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = (
        f"POST {url.raw_path.decode('ascii')} HTTP/1.1",
        f"Host: {url.netloc.decode('ascii')}",
        "User-Agent: api-gpu",
        "Accept: */*",
        "Accept-Encoding: identity",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "Connection: close",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii") + body

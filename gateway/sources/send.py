"""Sends to URLs of callers, guarded as downloads are; of an answer its head is read, and how a refusal begins."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import httpx

from gateway.sources import http_get, urls
from gateway.sources.fetch import http_errors
from gateway.sources.guard import AddressGuard
from gateway.sources.http_get import OriginResponse, SpeedLimit, Target
from servicekit.errors import DeadlineExceeded, Unavailable

# Of a body that is made as it is sent: yields its bytes, anew at each call.
Chunks = Callable[[], AsyncGenerator[bytes, None]]
# How much of a refusal is read, and for how long: it may say why.
REFUSAL_BYTES = 4096
REFUSAL_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """The status of an answer, the seconds that it asks to wait before the next call (0: none), its headers by their
    lower-case names, and the beginning of its body, of the refusal of a PUT."""

    status: int
    retry_after_seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    refusal: bytes = b""


@dataclass(frozen=True)
class Sender:
    """Sends to http(s) URLs, each time over a connection of its own, to an address that was checked. Redirects are not
    followed.

    Errors: InvalidArgument, PermissionDenied, NotFound, FailedPrecondition, Unavailable, DeadlineExceeded.
    """

    guard: AddressGuard
    tls: ssl.SSLContext
    connect_seconds: float = 5.0
    # For a request with a body in memory, and until the answer begins once a stream is sent.
    total_seconds: float = 15.0
    answer_seconds: float = 60.0
    # A stream of which no byte is taken for so long has ended.
    idle_seconds: float = 30.0

    async def send(self, url: str, headers: Mapping[str, str], body: bytes = b"", method: str = "POST") -> Answer:
        """Send a body that is in memory; return the answer."""
        target = urls.parse(url)
        request = _head(method, target, headers, len(body)) + body
        return await self._within(self.total_seconds, target, request, None)

    async def put(
        self, url: str, headers: Mapping[str, str], size_bytes: int, chunks: Chunks, total_seconds: float
    ) -> Answer:
        """Send a body of that size as it is read, by PUT; return the answer. It may come before the body is sent: then
        the rest is not, and `chunks` are not read to their end. Raises what `chunks` raises, too."""
        target = urls.parse(url)
        return await self._within(total_seconds, target, _head("PUT", target, headers, size_bytes), chunks)

    async def _within(self, seconds: float, url: httpx.URL, request: bytes, chunks: Chunks | None) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                with http_errors(url), _sending_errors(url):
                    return await self._send(url, request, chunks)
        except TimeoutError as error:
            text = f"{urls.redact(url)} did not answer within {seconds:g} s."
            raise DeadlineExceeded(text, reason="FETCH_FAILED") from error

    async def _send(self, url: httpx.URL, request: bytes, chunks: Chunks | None) -> Answer:
        checked = await self.guard.check(url)
        for address in checked[:-1]:
            with contextlib.suppress(http_get.ConnectFailed):
                return await self._ask(url, str(address), request, chunks)
        return await self._ask(url, str(checked[-1]), request, chunks)

    async def _ask(self, url: httpx.URL, address: str, request: bytes, chunks: Chunks | None) -> Answer:
        tls, name = self.tls if url.scheme == "https" else None, url.raw_host.decode("ascii").rstrip(".")
        target = Target(address, url.port or urls.SCHEMES[url.scheme], tls, name)
        async with contextlib.AsyncExitStack() as stack:
            body = await stack.enter_async_context(aclosing(chunks())) if chunks else None
            opened = OriginResponse.open(
                target,
                request,
                connect_seconds=self.connect_seconds,
                head_seconds=self.answer_seconds if chunks else self.total_seconds,
                body=body,
                idle_seconds=self.idle_seconds,
            )
            answer = await stack.enter_async_context(opened)
            after = answer.header("retry-after")
            seconds = float(after) if after.isascii() and after.isdecimal() and len(after) < 10 else 0.0
            is_told_why = answer.status >= 400 and request.startswith(b"PUT ")
            refusal = await _beginning(answer) if is_told_why else b""
            return Answer(answer.status, seconds, answer.headers, refusal)


@contextlib.contextmanager
def _sending_errors(url: httpx.URL) -> Iterator[None]:
    """Translate what befalls a connection that came about; the rest is as with downloads."""
    try:
        yield
    except TimeoutError as error:
        text = f"{urls.redact(url)} did not take what was sent, or did not answer, in time."
        raise DeadlineExceeded(text, reason="FETCH_FAILED") from error
    except (http_get.BrokenOff, OSError) as error:
        raise Unavailable(f"{urls.redact(url)} broke the connection off.", reason="FETCH_FAILED") from error


async def _beginning(answer: OriginResponse) -> bytes:
    """Return how a body begins, as far as it comes soon."""
    found = b""
    with contextlib.suppress(TimeoutError, OSError, *http_get.ERRORS):
        async with aclosing(answer.body(REFUSAL_SECONDS, SpeedLimit(REFUSAL_SECONDS, 1.0))) as parts:
            async for part in parts:
                found += part
                if len(found) >= REFUSAL_BYTES:
                    break
    return found[:REFUSAL_BYTES]


def _head(method: str, url: httpx.URL, headers: Mapping[str, str], size_bytes: int) -> bytes:
    own = {
        "Host": url.netloc.decode("ascii"),
        "User-Agent": "api-gpu",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Content-Length": str(size_bytes),
    }
    given = {name.lower() for name in headers}
    lines = (
        f"{method} {url.raw_path.decode('ascii')} HTTP/1.1",
        *(f"{name}: {value}" for name, value in own.items() if name.lower() not in given),
        *(f"{name}: {value}" for name, value in headers.items()),
        "Connection: close",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")

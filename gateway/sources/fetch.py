"""Downloads guarded against SSRF: a client must not make the gateway fetch what only the gateway can reach.

The host is resolved once, its addresses are checked, and the connection goes to a checked address, so a name that
resolves differently the second time gains nothing. TLS is verified against the name. Redirects are checked likewise.
"""

import asyncio
import contextlib
import functools
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import httpx

from gateway.assets.record import clean_filename
from gateway.metrics import IN, SOURCE, transferred
from gateway.sources import coding, disposition, http_get, urls, versions
from gateway.sources.guard import AddressGuard, Endpoint, OriginBusy, OwnEndpoints, Resolve, resolve_by_system
from gateway.sources.http_get import OriginResponse, SpeedLimit, Target
from gateway.sources.opened import Chunks, Source
from servicekit import media_types
from servicekit.chunks import rechunk
from servicekit.config import Network
from servicekit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
Translation = tuple[type[ServiceError], str, str]

# The first class that matches decides: error, text, reason.
TRANSLATIONS: dict[type[Exception], Translation] = {
    http_get.TooSlow: (DeadlineExceeded, "is sent too slowly; upload the file instead", "FETCH_TOO_SLOW"),
    http_get.Wasteful: (
        FailedPrecondition,
        "is sent with far more around it than in it; upload the file instead",
        "BAD_ORIGIN",
    ),
    coding.BadCoding: (
        FailedPrecondition,
        "is not compressed as its server says, or ends too early; upload the file instead",
        "ENCODED_RESPONSE",
    ),
    coding.Overpacked: (
        FailedPrecondition,
        "is compressed to far less than files of its kind are; upload the file instead",
        "ENCODED_RESPONSE",
    ),
    http_get.NotHttp: (Unavailable, "is sent by a server that does not keep to HTTP; try again", "FETCH_FAILED"),
    http_get.BrokenOff: (Unavailable, "broke the connection off; try again", "FETCH_FAILED"),
    http_get.ConnectFailed: (Unavailable, "cannot be connected to; try again later", "FETCH_FAILED"),
    TimeoutError: (DeadlineExceeded, "stopped sending; try again, or upload the file instead", "FETCH_FAILED"),
    OSError: (Unavailable, "broke the connection off; try again", "FETCH_FAILED"),
}
STATUSES: dict[int, tuple[type[ServiceError], str]] = {
    404: (NotFound, "does not exist"),
    408: (Unavailable, "asks to be tried again"),
    410: (NotFound, "does not exist any more"),
    425: (Unavailable, "asks to be tried again"),
    429: (Unavailable, "gets too many requests at present; try again later"),
}
SERVER_FAILED = (Unavailable, "failed at its server; try again later")
REFUSED = (FailedPrecondition, "was refused; is the link still valid?")
# Reasons of errors that are about the server of a source.
ORIGIN_REASONS = ("FETCH_FAILED", "FETCH_REFUSED", "FETCH_TOO_SLOW")
# A download must be so fast, on average, that it would end within this many times the time that it has.
HOPELESS = 2
_count_fetched = transferred(IN, SOURCE)


@dataclass(frozen=True)
class FetchLimits:
    """Limits of one download: its bytes; the seconds to connect, between two bytes, and in all; the least bytes a
    second, on average over `idle_seconds`. And of all: how many may be at once from one origin (address and port)."""

    max_bytes: int
    connect_seconds: float
    idle_seconds: float
    total_seconds: float
    allow_cidrs: tuple[Network, ...] = ()
    min_bytes_per_second: float = 1024.0
    max_per_origin: int = 24


def _content_coding(url: httpx.URL, answer: OriginResponse) -> str:
    """Return the coding that the body is to be unpacked from; "" for none. Raises FailedPrecondition for another."""
    content, transfer = (answer.header(f"{kind}-encoding").strip().lower() for kind in ("content", "transfer"))
    is_read = content in coding.PLAIN or content in coding.CODINGS
    if not is_read or transfer not in ("", "identity", "chunked"):
        encoding = transfer if is_read else content
        text = f"{urls.redact(url)} is sent compressed ({encoding[:40]}) though asked not to; upload the file."
        raise FailedPrecondition(text, reason="ENCODED_RESPONSE")
    return "" if content in coding.PLAIN else content


def _size_bytes(answer: OriginResponse) -> int | None:
    length = answer.header("content-length")
    # Beside Transfer-Encoding a length means nothing. Source: RFC 9112, section 6.3.
    is_known = length.isascii() and length.isdecimal() and len(length) < 20 and not answer.header("transfer-encoding")
    return int(length) if is_known else None


def _version(answer: OriginResponse) -> str:
    return versions.version_of(answer.header("etag"), answer.header("last-modified"))


def _filename(answer: OriginResponse, *candidates: httpx.URL) -> str:
    """Return the name in Content-Disposition, or the first usable name of the URLs."""
    declared = disposition.filename(answer.header("content-disposition"))
    return next(filter(None, map(clean_filename, [declared, *map(urls.filename, candidates)])), "")


class Fetcher:
    """Opens http(s) URLs, each over a connection of its own, without proxies, cookies or credentials."""

    def __init__(
        self,
        limits: FetchLimits,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolve = resolve_by_system,
        own: OwnEndpoints | None = None,
    ) -> None:
        """Fetch within `limits`, and nothing from `own`; without `ssl_context` servers are verified by the authorities
        that browsers trust."""
        self._limits = limits
        self.guard = AddressGuard(limits.allow_cidrs, own or OwnEndpoints(), resolve, limits.connect_seconds)
        self.tls = ssl_context or _browser_trust()
        self._open: Counter[Endpoint] = Counter()
        self._answers: set[OriginResponse] = set()

    async def aclose(self) -> None:
        """Abort open downloads."""
        for answer in self._answers:
            answer.abort()

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Source]:
        """Request the URL, following redirects, and yield the response before its body.

        Raises InvalidArgument (no URL to fetch from), PermissionDenied (its address is not public), NotFound,
        FailedPrecondition (the server refuses), Unavailable, DeadlineExceeded, ResourceExhausted (INPUT_TOO_LARGE),
        OriginBusy.
        """
        deadline = asyncio.get_running_loop().time() + self._limits.total_seconds
        first = urls.parse(url)
        async with contextlib.AsyncExitStack() as stack:
            target, answer = await self._follow(first, deadline, stack)
            if answer.status != 200:
                raise status_error(target, answer.status)
            packing = _content_coding(target, answer)
            size_bytes = _size_bytes(answer)
            self._check_size(target, size_bytes or 0)
            filename = _filename(answer, first, target)
            charset = media_types.charset(answer.header("content-type"))

            def parts() -> AsyncGenerator[bytes, None]:
                sent = self._parts(target, answer, size_bytes, deadline)
                return self._unpacked(target, sent, coding.Unpacker(packing)) if packing else sent

            part, version = None, _version(answer)
            if answer.header("accept-ranges").strip().lower() == "bytes" and size_bytes and not packing:
                part = functools.partial(self._open_part, target, answer, size_bytes, deadline)
            size = None if packing else size_bytes
            yield Source(filename, size, lambda: rechunk(parts()), charset, part=part, version=version)

    @asynccontextmanager
    async def _open_part(
        self, url: httpx.URL, whole: OriginResponse, size_bytes: int, deadline: float, start: int, end: int
    ) -> AsyncIterator[Chunks | None]:
        """Request the bytes from `start` on, before `end`, over a connection of its own; yield None where the server
        sends, or the file has become, something else than when it answered with the `whole`."""
        etag, wanted = whole.header("etag"), [f"Range: bytes={start}-{end - 1}"]
        wanted += [f"If-Range: {etag}"] if versions.STRONG_ETAG.fullmatch(etag) else []
        async with contextlib.AsyncExitStack() as stack:
            answer = None
            with contextlib.suppress(ServiceError), http_errors(url):
                async with _until(url, deadline):
                    answer = await self._get(url, stack, wanted)
            came = f"bytes {start}-{end - 1}/{size_bytes}"
            is_it = answer is not None and (answer.status, answer.header("content-range").strip()) == (206, came)
            if answer is None or not is_it or versions.are_different(_version(answer), _version(whole)):
                yield None
            else:
                yield lambda: rechunk(self._parts(url, answer, end - start, deadline))

    async def _parts(
        self, url: httpx.URL, answer: OriginResponse, size_bytes: int | None, deadline: float
    ) -> AsyncGenerator[bytes, None]:
        limits, received = self._limits, 0
        speed = SpeedLimit(limits.idle_seconds, limits.min_bytes_per_second)
        async with aclosing(answer.body(limits.idle_seconds, speed)) as parts:
            while True:
                with http_errors(url):
                    async with _until(url, deadline):
                        part = await anext(parts, None)
                if part is None:
                    return
                received += len(part)
                _count_fetched(len(part))
                self._check_size(url, received)
                needed = max(size_bytes or 0, received) / (HOPELESS * limits.total_seconds)
                speed.bytes_per_second = max(limits.min_bytes_per_second, needed)
                yield part

    async def _unpacked(
        self, url: httpx.URL, sent: AsyncGenerator[bytes, None], unpacker: coding.Unpacker
    ) -> AsyncGenerator[bytes, None]:
        size_bytes = 0
        async with aclosing(sent):
            async for part in sent:
                pieces = unpacker.unpack(part)
                while (piece := _next_piece(url, pieces)) is not None:
                    size_bytes += len(piece)
                    self._check_size(url, size_bytes)
                    yield piece
        with http_errors(url):
            unpacker.finish()

    def _check_size(self, url: httpx.URL, size_bytes: int) -> None:
        if size_bytes > (limit := self._limits.max_bytes):
            raise ResourceExhausted(
                f"{urls.redact(url)} is larger than the {limit} bytes allowed; use a smaller file.",
                reason="INPUT_TOO_LARGE",
                metadata={"max_bytes": str(limit)},
            )

    async def _follow(
        self, url: httpx.URL, deadline: float, stack: contextlib.AsyncExitStack
    ) -> tuple[httpx.URL, OriginResponse]:
        """Return the URL at the end of the redirects, and its answer, which the stack closes."""
        target = url
        for _ in range(1 + MAX_REDIRECTS):
            async with contextlib.AsyncExitStack() as attempt:
                with http_errors(target):
                    async with _until(target, deadline):
                        answer = await self._get(target, attempt)
                location = answer.header("location")
                if answer.status not in REDIRECTS or not location:
                    stack.push_async_callback(attempt.pop_all().aclose)
                    return target, answer
            target = urls.resolve_redirect(target, location)
        text = f"{urls.redact(url)} redirects more than {MAX_REDIRECTS} times; give the URL that it leads to."
        raise FailedPrecondition(text, reason="TOO_MANY_REDIRECTS")

    async def _get(
        self, url: httpx.URL, stack: contextlib.AsyncExitStack, wanted: Sequence[str] = ()
    ) -> OriginResponse:
        """Return the answer of the first address that accepts a connection; the stack closes it."""
        checked = await self.guard.check(url)
        for address in checked[:-1]:
            try:
                return await self._ask(url, str(address), stack, wanted)
            except http_get.ConnectFailed:
                continue
        return await self._ask(url, str(checked[-1]), stack, wanted)

    async def _ask(
        self, url: httpx.URL, address: str, stack: contextlib.AsyncExitStack, wanted: Sequence[str]
    ) -> OriginResponse:
        port = url.port or urls.SCHEMES[url.scheme]
        tls, name = self.tls if url.scheme == "https" else None, url.raw_host.decode("ascii").rstrip(".")
        async with contextlib.AsyncExitStack() as attempt:
            attempt.enter_context(self._place(url, (address, port)))
            opened = OriginResponse.open(
                Target(address, port, tls, name),
                _request(url, wanted),
                connect_seconds=self._limits.connect_seconds,
                head_seconds=self._limits.idle_seconds,
            )
            answer = await attempt.enter_async_context(opened)
            self._answers.add(answer)
            attempt.callback(self._answers.discard, answer)
            stack.push_async_callback(attempt.pop_all().aclose)
        return answer

    @contextlib.contextmanager
    def _place(self, url: httpx.URL, origin: Endpoint) -> Iterator[None]:
        """Count a download from an origin. Raises OriginBusy."""
        if self._open[origin] >= self._limits.max_per_origin:
            text = f"{urls.redact(url)}: too many downloads from its server at once; try again in a moment."
            raise OriginBusy(text, reason="ORIGIN_BUSY")
        self._open[origin] += 1
        try:
            yield
        finally:
            self._open[origin] -= 1
            if not self._open[origin]:
                del self._open[origin]


def _next_piece(url: httpx.URL, pieces: Iterator[bytes]) -> bytes | None:
    with http_errors(url):
        return next(pieces, None)


def _browser_trust() -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _request(url: httpx.URL, wanted: Sequence[str]) -> bytes:
    lines = (
        f"GET {url.raw_path.decode('ascii')} HTTP/1.1",
        f"Host: {url.netloc.decode('ascii')}",
        "User-Agent: api-gpu",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
        *wanted,
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


@asynccontextmanager
async def _until(url: httpx.URL, deadline: float) -> AsyncIterator[None]:
    """Raise DeadlineExceeded where the block is not left by the deadline, a time of the event loop."""
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        text = f"{urls.redact(url)} took longer than a download may; upload the file instead."
        raise DeadlineExceeded(text, reason="FETCH_FAILED") from error


@contextlib.contextmanager
def http_errors(url: httpx.URL) -> Iterator[None]:
    """Translate errors of http_get and of sockets that the block raises; the texts show the URL without its secrets."""
    try:
        yield
    except tuple(TRANSLATIONS) as error:
        raise _translate(url, error) from error


def status_error(url: httpx.URL, status: int) -> ServiceError:
    """Return the error of a response whose HTTP status is not 200."""
    kind, text = STATUSES.get(status, SERVER_FAILED if status >= 500 else REFUSED)
    metadata = {"http_status": str(status)}
    return kind(f"{urls.redact(url)} {text} (HTTP status {status}).", reason="FETCH_REFUSED", metadata=metadata)


def is_of_origin(error: ServiceError) -> bool:
    """Return True if a server of somebody else failed: it may do better at the next try."""
    return error.reason in ORIGIN_REASONS and isinstance(error, Unavailable | DeadlineExceeded)


def final_error(error: ServiceError) -> ServiceError:
    """Return the error of an origin that failed at every try as one that the caller can mend.

    With a 5xx, which says that the service failed, tools would repeat the whole request.
    """
    if not is_of_origin(error):
        return error
    return FailedPrecondition(error.message, reason=error.reason, fields=error.fields, metadata=error.metadata)


def _translate(url: httpx.URL, error: Exception) -> ServiceError:
    if _is_certificate_error(error):
        text = f"{urls.redact(url)}: the certificate of {url.host} is not valid for it; fix it, or upload the file."
        return FailedPrecondition(text, reason="BAD_CERTIFICATE")
    kind, text, reason = next(found for cls, found in TRANSLATIONS.items() if isinstance(error, cls))
    return kind(f"{urls.redact(url)} {text}.", reason=reason)


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False

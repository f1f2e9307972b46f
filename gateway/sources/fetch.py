"""Downloads guarded against SSRF: a client must not make the gateway fetch what only the gateway can reach.

The host is resolved once, its addresses are checked, and the connection goes to a checked address, so a name that
resolves differently the second time gains nothing. TLS is verified against the name. Redirects are checked likewise.
"""

import asyncio
import contextlib
import email.message
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from gateway.assets.record import clean_filename
from gateway.sources import addresses, urls
from servicekit.chunks import rechunk
from servicekit.config import Network
from servicekit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Translation = tuple[type[ServiceError], str]

# The first class that matches decides.
TRANSLATIONS: dict[type[Exception], Translation] = {
    httpx.ConnectTimeout: (Unavailable, "did not take a connection in time; try again later"),
    httpx.TimeoutException: (DeadlineExceeded, "stopped sending; try again, or upload the file instead"),
    TimeoutError: (DeadlineExceeded, "took longer than a download may; upload the file instead"),
    httpx.LocalProtocolError: (InvalidArgument, "cannot be asked for over HTTP; check how the URL is written"),
    httpx.UnsupportedProtocol: (InvalidArgument, "cannot be asked for over HTTP; check how the URL is written"),
    httpx.ConnectError: (Unavailable, "cannot be connected to; try again later"),
    httpx.ReadError: (Unavailable, "broke the connection off; try again"),
    httpx.RemoteProtocolError: (Unavailable, "broke its answer off, or does not keep to HTTP; try again"),
    httpx.HTTPError: (Unavailable, "could not be downloaded; try again later"),
    OSError: (Unavailable, "could not be downloaded; try again later"),
}
STATUSES: dict[int, Translation] = {
    404: (NotFound, "does not exist"),
    408: (Unavailable, "asks to be tried again"),
    410: (NotFound, "does not exist any more"),
    425: (Unavailable, "asks to be tried again"),
    429: (Unavailable, "gets too many requests at present; try again later"),
}
SERVER_FAILED: Translation = (Unavailable, "failed at its server; try again later")
REFUSED: Translation = (FailedPrecondition, "was refused; is the link still valid?")
# Reasons of errors that are about the server of a source.
ORIGIN_REASONS = ("FETCH_FAILED", "FETCH_REFUSED")
# For names that do not exist, as opposed to name servers that do not answer. Not every system has all of them.
NO_SUCH_NAME = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL") if hasattr(socket, name)}


@dataclass(frozen=True)
class FetchLimits:
    """Limits of one download: its bytes, and the seconds to connect, between two bytes, and in all."""

    max_bytes: int
    connect_seconds: float
    idle_seconds: float
    total_seconds: float
    allow_cidrs: tuple[Network, ...] = ()


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, in the system's order of preference. Raises socket.gaierror, UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True)
class Source:
    """An open source, whose bytes can be read once: its filename, without folders, may be empty; its size is None where
    it is not known beforehand. `chunks` yields the bytes in chunks of CHUNK_BYTES, except the last one, and raises
    ServiceError if they end too early."""

    filename: str
    size_bytes: int | None
    chunks: Callable[[], AsyncIterator[bytes]]


def _require_identity(url: httpx.URL, response: httpx.Response) -> None:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        text = f"{urls.redact(url)} is sent compressed ({encoding[:40]}) though asked not to; upload the file instead."
        raise FailedPrecondition(text, reason="ENCODED_RESPONSE")


def _size_bytes(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length", "")
    # Beside Transfer-Encoding a length means nothing. Source: RFC 9112, section 6.3.
    return int(length) if length.isdecimal() and "transfer-encoding" not in response.headers else None


def _filename(response: httpx.Response, *candidates: httpx.URL) -> str:
    """Return the name in Content-Disposition, or the first usable name of the URLs."""
    header = email.message.Message()
    header["Content-Disposition"] = response.headers.get("content-disposition", "")
    try:
        declared = header.get_filename() or ""
    except (LookupError, TypeError, ValueError):  # raised by the parser for malformed parameters
        declared = ""
    return next(filter(None, map(clean_filename, [declared, *map(urls.filename, candidates)])), "")


class Fetcher:
    """Opens http(s) URLs, each over a connection of its own, without proxies, cookies or credentials."""

    def __init__(
        self, limits: FetchLimits, ssl_context: ssl.SSLContext | None = None, resolve: Resolve = resolve_by_system
    ) -> None:
        """Fetch within `limits`; without `ssl_context` servers are verified by the authorities that browsers trust."""
        self._limits = limits
        self._resolve = resolve
        # The transport itself, as a client would keep cookies, by address. No connection is reused: the same address
        # may serve two names, and only one of them was verified.
        self._transport = httpx.AsyncHTTPTransport(
            verify=ssl_context or httpx.create_ssl_context(trust_env=False),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def aclose(self) -> None:
        """Abort open downloads."""
        await self._transport.aclose()

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Source]:
        """Request the URL, following redirects, and yield the response before its body.

        Raises InvalidArgument (no URL to fetch from), PermissionDenied (its address is not public), NotFound,
        FailedPrecondition (the server refuses), Unavailable, DeadlineExceeded, ResourceExhausted (INPUT_TOO_LARGE).
        """
        deadline = asyncio.get_running_loop().time() + self._limits.total_seconds
        first = urls.parse(url)
        target, response = await self._follow(first, deadline)
        try:
            if response.status_code != 200:
                raise status_error(target, response.status_code)
            _require_identity(target, response)
            size_bytes = _size_bytes(response)
            self._check_size(target, size_bytes or 0)
            filename = _filename(response, first, target)
            yield Source(filename, size_bytes, lambda: rechunk(self._parts(target, response, deadline)))
        finally:
            await response.aclose()

    async def _parts(self, url: httpx.URL, response: httpx.Response, deadline: float) -> AsyncIterator[bytes]:
        parts, received = response.aiter_raw(), 0
        while True:
            with http_errors(url):
                async with asyncio.timeout_at(deadline):
                    part = await anext(parts, None)
            if part is None:
                return
            received += len(part)
            self._check_size(url, received)
            yield part

    def _check_size(self, url: httpx.URL, size_bytes: int) -> None:
        if size_bytes > (limit := self._limits.max_bytes):
            raise ResourceExhausted(
                f"{urls.redact(url)} is larger than the {limit} bytes allowed; use a smaller file.",
                reason="INPUT_TOO_LARGE",
                metadata={"max_bytes": str(limit)},
            )

    async def _follow(self, url: httpx.URL, deadline: float) -> tuple[httpx.URL, httpx.Response]:
        """Return the URL at the end of the redirects, and its open response."""
        target = url
        for _ in range(1 + MAX_REDIRECTS):
            with http_errors(target):
                async with asyncio.timeout_at(deadline):
                    response = await self._get(target)
            location = response.headers.get("location", "")
            if response.status_code not in REDIRECTS or not location:
                return target, response
            await response.aclose()
            target = urls.resolve_redirect(target, location)
        text = f"{urls.redact(url)} redirects more than {MAX_REDIRECTS} times; give the URL that it leads to."
        raise FailedPrecondition(text, reason="TOO_MANY_REDIRECTS")

    async def _get(self, url: httpx.URL) -> httpx.Response:
        """Return the open response of the first address that accepts a connection."""
        checked = await self._addresses(url)
        for address in checked[:-1]:
            try:
                return await self._transport.handle_async_request(self._request(url, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._transport.handle_async_request(self._request(url, checked[-1]))

    async def _addresses(self, url: httpx.URL) -> list[addresses.Address]:
        """Return the host's addresses. Raises PermissionDenied if any is not allowed: mixed answers are an attack."""
        host = url.raw_host.decode("ascii")
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                texts = await self._resolve(host, url.port or urls.SCHEMES[url.scheme])
                found = [addresses.parse(text) for text in texts]
        except (OSError, UnicodeError) as error:
            raise resolution_error(host, error) from error
        if not found:
            raise resolution_error(host, socket.gaierror(socket.EAI_NONAME, "no addresses"))
        if not all(addresses.is_allowed(address, self._limits.allow_cidrs) for address in found):
            raise PermissionDenied(
                f"{urls.redact(url)}: the address of {host} is not a public one, so it is not fetched from; upload the "
                "file, or have the gateway's operator allow the address by FETCH_ALLOW_CIDRS.",
                reason="ADDRESS_NOT_PUBLIC",
            )
        return found

    def _request(self, url: httpx.URL, address: addresses.Address) -> httpx.Request:
        limits = self._limits
        timeout = {"connect": limits.connect_seconds, "read": limits.idle_seconds, "write": limits.idle_seconds}
        return httpx.Request(
            "GET",
            url.copy_with(host=str(address)),
            headers={
                "Host": url.netloc.decode("ascii"),
                "User-Agent": "api-gpu",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "Connection": "close",
            },
            extensions={"timeout": timeout, "sni_hostname": url.raw_host.decode("ascii").rstrip(".")},
        )


@contextlib.contextmanager
def http_errors(url: httpx.URL) -> Iterator[None]:
    """Translate errors of httpx and sockets that the block raises; the texts show the URL without its secrets."""
    try:
        yield
    except (httpx.HTTPError, OSError) as error:
        raise _translate(url, error) from error


def status_error(url: httpx.URL, status: int) -> ServiceError:
    """Return the error of a response whose HTTP status is not 200."""
    kind, text = STATUSES.get(status, SERVER_FAILED if status >= 500 else REFUSED)
    metadata = {"http_status": str(status)}
    return kind(f"{urls.redact(url)} {text} (HTTP status {status}).", reason="FETCH_REFUSED", metadata=metadata)


def resolution_error(host: str, error: Exception) -> ServiceError:
    """Return the error of a name that did not resolve: a gaierror, or a UnicodeError for an impossible name."""
    if isinstance(error, UnicodeError) or (isinstance(error, socket.gaierror) and error.errno in NO_SUCH_NAME):
        return NotFound(f"There is no host {host!r}; check how the URL is written.", reason="NO_SUCH_HOST")
    return Unavailable(f"The host {host!r} cannot be looked up at present; try again later.", reason="FETCH_FAILED")


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
    kind, text = next(found for cls, found in TRANSLATIONS.items() if isinstance(error, cls))
    return kind(f"{urls.redact(url)} {text}.", reason="FETCH_FAILED")


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False

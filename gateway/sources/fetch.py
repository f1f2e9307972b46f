"""Guarded downloads: a client names the URL, so the gateway must not be talked into fetching what only it can reach.

The host is resolved once, its addresses are checked, and the connection goes to a checked address: a name that
resolves differently the second time gains nothing. TLS is verified against the name. Redirects are checked likewise.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import httpx

from gateway.sources import addresses, urls
from gateway.sources.download import Download
from gateway.sources.errors import http_errors, refusal, unresolved
from servicekit.errors import FailedPrecondition, PermissionDenied

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True)
class FetchLimits:
    """Limits of one download: its bytes, and seconds to connect, without a byte, and in all."""

    max_bytes: int
    connect_seconds: float
    idle_seconds: float
    total_seconds: float
    allow_cidrs: tuple[IPv4Network | IPv6Network, ...] = ()


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, in the system's order of preference. Raises socket.gaierror, UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Fetcher:
    """Opens http(s) URLs, each over a connection of its own, without proxies, cookies or credentials."""

    def __init__(
        self, limits: FetchLimits, ssl_context: ssl.SSLContext | None = None, resolve: Resolve = resolve_by_system
    ) -> None:
        """Without `ssl_context` servers are held against the authorities that browsers trust."""
        self._limits = limits
        self._resolve = resolve
        # The transport itself: a client would keep cookies, by address. And no connection is used twice: the same
        # address may serve two names, and only one of them was verified.
        self._transport = httpx.AsyncHTTPTransport(
            verify=ssl_context or httpx.create_ssl_context(trust_env=False),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def aclose(self) -> None:
        """Break open downloads off."""
        await self._transport.aclose()

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Download]:
        """Ask for the URL, following redirects, up to where its bytes begin.

        Raises InvalidArgument (no URL to fetch from), PermissionDenied (its address is not public), NotFound,
        FailedPrecondition (the server refuses), Unavailable, DeadlineExceeded, ResourceExhausted (INPUT_TOO_LARGE).
        """
        deadline = asyncio.get_running_loop().time() + self._limits.total_seconds
        first = urls.parse(url)
        target, response = await self._follow(first, deadline)
        try:
            if response.status_code != 200:
                raise refusal(target, response.status_code)
            yield Download(first, target, response, self._limits.max_bytes, deadline)
        finally:
            await response.aclose()

    async def _follow(self, url: httpx.URL, deadline: float) -> tuple[httpx.URL, httpx.Response]:
        """The URL and the answer at the end of the redirects; the answer is open."""
        target = url
        for _ in range(1 + MAX_REDIRECTS):
            with http_errors(target):
                async with asyncio.timeout_at(deadline):
                    response = await self._get(target)
            location = response.headers.get("location", "")
            if response.status_code not in REDIRECTS or not location:
                return target, response
            await response.aclose()
            target = urls.redirected(target, location)
        text = f"{urls.shown(url)} redirects more than {MAX_REDIRECTS} times; give the URL that it leads to."
        raise FailedPrecondition(text, reason="TOO_MANY_REDIRECTS")

    async def _get(self, url: httpx.URL) -> httpx.Response:
        """The open answer of the first address that takes a connection."""
        checked = await self._addresses(url)
        for address in checked[:-1]:
            try:
                return await self._transport.handle_async_request(self._request(url, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._transport.handle_async_request(self._request(url, checked[-1]))

    async def _addresses(self, url: httpx.URL) -> list[addresses.Address]:
        """The host's addresses. Raises PermissionDenied when one of them is not allowed: a mix is how guards are
        worn down, one attempt after the other."""
        host = url.raw_host.decode("ascii")
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                found = [addresses.parse(text) for text in await self._resolve(host, urls.port(url))]
        except (OSError, UnicodeError) as error:
            raise unresolved(host, error) from error
        if not found:
            raise unresolved(host, socket.gaierror(socket.EAI_NONAME, "no addresses"))
        if not all(addresses.permitted(address, self._limits.allow_cidrs) for address in found):
            raise PermissionDenied(
                f"{urls.shown(url)}: the address of {host} is not a public one, so it is not fetched from; upload the "
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

"""The guard of addresses: what a URL's host leads to is looked up once, checked, and connected to as it was checked."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import httpx

from gateway.sources import addresses, urls
from gateway.sources.addresses import Address
from servicekit.config import Network
from servicekit.errors import NotFound, PermissionDenied, ServiceError, Unavailable

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Endpoint = tuple[str, int]

# Lookups at once. glibc gives up on a name server after some seconds, and on all of them after half a minute.
MAX_LOOKUPS = 64
_free_lookups = threading.BoundedSemaphore(MAX_LOOKUPS)

# For names that do not exist, as opposed to name servers that do not answer. Not every system has all of them.
NO_SUCH_NAME = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL") if hasattr(socket, name)}


class OriginBusy(Unavailable):
    """As many downloads, or lookups, as may be at once are under way; what needs another may come again."""


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, in the system's order of preference. Raises socket.gaierror, UnicodeError,
    OriginBusy."""
    if not _free_lookups.acquire(blocking=False):
        raise OriginBusy("Too many hosts are being looked up; the task waits its turn.", reason="ORIGIN_BUSY")
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()
    # A thread of its own, as none can be ended: name servers that never answer would else take those of the pool that
    # files need. A daemon, so that the process ends without it.
    threading.Thread(target=_look_up, args=(host, port, loop, answer), daemon=True).start()
    return await answer


def _look_up(host: str, port: int, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Sequence[str]]") -> None:
    found: Sequence[str] = ()
    error: Exception | None = None
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(address[0]) for *_, address in infos))
    except (OSError, UnicodeError) as raised:
        error = raised
    finally:
        _free_lookups.release()

    def settle() -> None:
        if answer.done():  # whoever asked has left
            return
        if error is None:
            answer.set_result(found)
        else:
            answer.set_exception(error)

    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(settle)


@dataclass(eq=False)
class OwnEndpoints:
    """What belongs to this service: ports that it listens on, at any address of this machine, and its parts elsewhere
    (encoders, the store) by host and port. Nothing is fetched from there, whatever networks are allowed."""

    ports: set[int] = field(default_factory=set)
    parts: list[Callable[[], Iterable[Endpoint]]] = field(default_factory=list)

    def parts_on(self, port: int) -> list[str]:
        """Return the hosts of the parts that listen on a port."""
        return [host for part in self.parts for host, part_port in part() if part_port == port]


@dataclass(frozen=True)
class AddressGuard:
    """Looks hosts up and checks where they lead to: public addresses and those of `allow_cidrs`, and none of `own`."""

    allow_cidrs: Sequence[Network]
    own: OwnEndpoints
    resolve: Resolve
    lookup_seconds: float

    async def check(self, url: httpx.URL) -> list[Address]:
        """Return the addresses of the URL's host. Raises PermissionDenied if any may not be connected to, as mixed
        answers are an attack; NotFound, Unavailable."""
        host, port = url.raw_host.decode("ascii"), url.port or urls.SCHEMES[url.scheme]
        found = await self._lookup(host, port)
        if not all(addresses.is_allowed(address, self.allow_cidrs) for address in found):
            raise PermissionDenied(
                f"{urls.redact(url)}: the address of {host} is not a public one, so it is not fetched from; upload the "
                "file, or have the gateway's operator allow the address by FETCH_ALLOW_CIDRS.",
                reason="ADDRESS_NOT_PUBLIC",
            )
        if await self._is_own(found, port):
            raise PermissionDenied(
                f"{urls.redact(url)} leads to this service itself, which fetches nothing from its own ports; name the "
                'asset instead ("assets/…").',
                reason="OWN_ADDRESS",
            )
        return found

    async def _is_own(self, found: Sequence[Address], port: int) -> bool:
        targets = {target for address in found for target in addresses.targets(address)}
        if port in self.own.ports and any(map(_is_of_this_machine, targets)):
            return True
        for host in self.own.parts_on(port):
            with contextlib.suppress(ServiceError):  # a part that is not to be found cannot be reached either
                parts = {target for address in await self._lookup(host, port) for target in addresses.targets(address)}
                is_local = any(map(_is_of_this_machine, parts)) and any(map(_is_of_this_machine, targets))
                if is_local or parts & targets:
                    return True
        return False

    async def _lookup(self, host: str, port: int) -> list[Address]:
        try:
            async with asyncio.timeout(self.lookup_seconds):
                found = [addresses.parse(text) for text in await self.resolve(host, port)]
        except (OSError, UnicodeError) as error:
            raise resolution_error(host, error) from error
        if not found:
            raise resolution_error(host, socket.gaierror(socket.EAI_NONAME, "no addresses"))
        return found


def _is_of_this_machine(address: Address) -> bool:
    """Return True for an address that this machine has: only such a one can be bound."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(address), 0))
        return True
    return False


def resolution_error(host: str, error: Exception) -> ServiceError:
    """Return the error of a name that did not resolve: a gaierror, or a UnicodeError for an impossible name."""
    if isinstance(error, UnicodeError) or (isinstance(error, socket.gaierror) and error.errno in NO_SUCH_NAME):
        return NotFound(f"There is no host {host!r}; check how the URL is written.", reason="NO_SUCH_HOST")
    return Unavailable(f"The host {host!r} cannot be looked up at present; try again later.", reason="FETCH_FAILED")

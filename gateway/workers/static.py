"""The encoders that ENCODERS names: each by its address, or many by one name, of which every address in DNS is one.

    ENCODERS=dns:///encoder.apigpu.svc:50052

is a headless Service in Kubernetes, whose name has an address for each pod that is ready.
"""

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

import structlog

from gateway.workers.grpc import GrpcEncoder
from gateway.workers.pool import Pool
from servicekit.server_tls import ReloadingIdentity

log = structlog.get_logger("gateway.workers")

SCHEME = "dns:///"
LOOK_UP_SECONDS = 3.0
# The name has no addresses: no encoder is ready. Every other failure says nothing about the encoders.
NO_ADDRESS = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

LookUp = Callable[[str, int], Awaitable[frozenset[str]]]


class LookupFailed(Exception):
    """No name server answers; the addresses that are known stay."""


@dataclass(frozen=True, slots=True)
class EncoderName:
    """A DNS name and the port of the encoders behind it. Their certificates must have the name."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Self | None:
        """Parse a dns:/// URL; return None for what is no such URL. Raises ValueError for a malformed one."""
        if not url.startswith(SCHEME):
            return None
        host, _, port = url.removeprefix(SCHEME).rpartition(":")
        if not host or "/" in host or not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
            raise ValueError(f"{url} must be {SCHEME}name:port, as in dns:///encoder.apigpu.svc:50052")
        return cls(host, int(port))

    @property
    def tls_name(self) -> str:
        """The name that the encoders' certificates must have."""
        return self.host.rstrip(".")


async def look_up(host: str, port: int) -> frozenset[str]:
    """Return all addresses of the name, as host:port; none if it has none. Raises LookupFailed."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in NO_ADDRESS:
            return frozenset()
        raise LookupFailed(error.strerror) from error
    hosts = [str(address[0]) for *_, address in found]
    return frozenset(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)


@dataclass
class DnsDiscovery:
    """Follows a name: calls `on_found(address)` for each new address, and `on_lost(address)` for each that is gone."""

    name: EncoderName
    on_found: Callable[[str], None]
    on_lost: Callable[[str], None]
    look_up: LookUp = look_up
    interval_seconds: float = LOOK_UP_SECONDS
    _known: frozenset[str] = frozenset()
    _is_failing: bool = False

    async def follow(self) -> None:
        """Look the name up every `interval_seconds`, until cancelled."""
        while True:
            try:
                self._update(await self.look_up(self.name.host, self.name.port))
                self._is_failing = False
            except LookupFailed as error:
                if not self._is_failing:
                    log.warning("DNS lookup of encoders failed; known ones stay", name=self.name.host, error=str(error))
                self._is_failing = True
            await asyncio.sleep(self.interval_seconds)

    def _update(self, found: frozenset[str]) -> None:
        known, self._known = self._known, found
        for address in sorted(found - known):
            log.info("encoder found", name=self.name.host, encoder=address)
            self.on_found(address)
        for address in sorted(known - found):
            log.info("encoder left", name=self.name.host, encoder=address)
            self.on_lost(address)


def add_static_encoders(
    encoders: Sequence[str], pool: Pool, identity: ReloadingIdentity, session_token: str
) -> list[asyncio.Task[None]]:
    """Put the encoders that the settings name into the pool, and connect to them anew when the identity changes.

    Return the tasks that follow names in DNS, to be cancelled in the end. Raise ValueError for a malformed name.
    """

    def add(address: str, tls_name: str = "") -> None:
        if address not in pool:
            pool.add(GrpcEncoder(address, identity.current.channel_credentials(), session_token, tls_name))

    def reconnect() -> None:
        for member in pool.members:
            if isinstance(member.encoder, GrpcEncoder) and not member.is_rented:
                member.encoder.reconnect(identity.current.channel_credentials())

    identity.subscribe(reconnect)
    following = []
    for text in encoders:
        if name := EncoderName.parse(text):
            discovery = DnsDiscovery(name, functools.partial(add, tls_name=name.tls_name), pool.remove)
            following.append(asyncio.create_task(discovery.follow()))
        else:
            add(text)
    return following

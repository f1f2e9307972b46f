"""Encoders behind one name: every address that DNS tells for it is an encoder of its own.

    ENCODERS=dns:///encoder.apigpu.svc:50052

is a headless Service in Kubernetes, whose name has an address for each pod that is ready.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

import structlog

log = structlog.get_logger("gateway.workers")

SCHEME = "dns:///"
LOOK_UP_SECONDS = 3.0
# The name has no addresses: nobody is ready. Every other failure says nothing about the encoders.
NOBODY = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

LookUp = Callable[[str, int], Awaitable[frozenset[str]]]


class LookupFailed(Exception):
    """No name server answers; what is known stays."""


@dataclass(frozen=True, slots=True)
class EncoderName:
    """A name and the port of the encoders behind it. Their certificates must have the name."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Self | None:
        """The name of a dns:/// URL; None for what is no such URL. Raises ValueError."""
        if not url.startswith(SCHEME):
            return None
        host, _, port = url.removeprefix(SCHEME).rpartition(":")
        if not host or "/" in host or not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
            raise ValueError(f"{url} must be {SCHEME}name:port, as in dns:///encoder.apigpu.svc:50052")
        return cls(host, int(port))

    @property
    def tls_name(self) -> str:
        """The name that the encoders' certificates are held to."""
        return self.host.rstrip(".")


async def look_up(host: str, port: int) -> frozenset[str]:
    """All addresses of the name, as host:port; none when it has none. Raises CannotLookUp."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in NOBODY:
            return frozenset()
        raise LookupFailed(error.strerror) from error
    return frozenset(_written(str(address[0]), port) for *_, address in found)


def _written(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class DnsDiscovery:
    """Keeps up with a name: `came(address)` for each address that is new, `left(address)` for each that is gone."""

    def __init__(
        self,
        name: EncoderName,
        came: Callable[[str], None],
        left: Callable[[str], None],
        *,
        look_up: LookUp = look_up,
        seconds: float = LOOK_UP_SECONDS,
    ) -> None:
        """`seconds`: how long to wait between two look-ups."""
        self._name = name
        self._came = came
        self._left = left
        self._look_up = look_up
        self._seconds = seconds
        self._known: frozenset[str] = frozenset()
        self._is_failing = False

    async def follow(self) -> None:
        """Look the name up again and again, until cancelled."""
        while True:
            try:
                self._compare(await self._look_up(self._name.host, self._name.port))
                self._is_failing = False
            except LookupFailed as error:
                if not self._is_failing:
                    log.warning("cannot look up the encoders; those known stay", name=self._name.host, error=str(error))
                self._is_failing = True
            await asyncio.sleep(self._seconds)

    def _compare(self, found: frozenset[str]) -> None:
        known, self._known = self._known, found
        for address in sorted(found - known):
            log.info("encoder found", name=self._name.host, encoder=address)
            self._came(address)
        for address in sorted(known - found):
            log.info("encoder left", name=self._name.host, encoder=address)
            self._left(address)

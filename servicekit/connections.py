"""Connections and file descriptors: how many there may be, and which of gRPC's end when they are short.

gRPC's core accepts connections by itself and knows one limit for all clients. So its sockets are looked at from
outside, by /proc (Linux), once they are many.
"""

import asyncio
import contextlib
import math
import os
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from servicekit.addresses import client_network, parse_address, peer_address
from servicekit.concurrency import ConcurrencyLimit, Slot
from servicekit.errors import ResourceExhausted, Unavailable
from servicekit.interceptors import QUIET, AroundCall, Context, abort, request_id
from servicekit.tasks import repeat

log = structlog.get_logger("servicekit.connections")

DESCRIPTORS = "/proc/self/fd"
IS_LINUX = sys.platform == "linux"
INTERNET = (socket.AF_INET, socket.AF_INET6)
# More descriptors than this are of no use, and programs that look at each possible one would take long.
MAX_DESCRIPTORS = 1 << 20
# More would need more memory than they are worth: one of TLS takes about 100 KB.
MAX_CONNECTIONS = 2048
# Descriptors for everything but connections of clients: files, NATS, encoders, downloads.
RESERVE_SHARE = 4
LOOK_SECONDS = 0.5
# gRPC refuses connections at the limit; idle ones are ended before, to leave room for new ones.
FULL_SHARE = 0.75
# A connection that has had a call is not idle for so long.
CALLED_SECONDS = 10.0

SHUTTING_DOWN = "The service is shutting down."

Peer = tuple[str, int]


def raise_descriptor_limit() -> None:
    """Raise this process's limit on descriptors as far as it is allowed to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def max_connections(ports: int) -> int:
    """Return how many connections each of so many ports may have, such that a quarter of the descriptors stays free."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    return max(1, min(MAX_CONNECTIONS, (limit - limit // RESERVE_SHARE) // ports))


@dataclass(eq=False)
class Connection:
    """An accepted connection, by its descriptor, the inode behind it and its peer."""

    descriptor: int
    inode: str
    peer: Peer
    slot: Slot | None = None
    # When its last call ended; inf while one is open, -inf before the first.
    called_at: float = -math.inf

    def note(self, called_at: float) -> None:
        """Note when its last call ended."""
        if self.slot is None or called_at == self.called_at:
            return
        self.called_at = called_at
        if called_at == math.inf:
            self.slot.work()
        else:
            self.slot.wait(called_at + CALLED_SECONDS - time.monotonic())

    def end(self) -> None:
        """End the connection for both sides; gRPC's core, whose socket it is, sees that and closes it."""
        with contextlib.suppress(OSError), _open(self.descriptor) as connection:
            if _peer(connection) == self.peer:  # else the descriptor belongs to another one by now
                connection.shutdown(socket.SHUT_RDWR)


class ConnectionGuard:
    """Ends connections of gRPC's ports that have no open call, once there are many: those of the address with the most
    first, and of these the ones that have been idle for longest."""

    def __init__(self, connections: int) -> None:
        """Keep the ports' connections somewhat below `connections`."""
        self._limit = ConcurrencyLimit(max(1, round(connections * FULL_SHARE)), "connections")
        self._ports: set[int] = set()
        self._max_peers = 2 * connections
        self._open_calls: Counter[str] = Counter()
        self._without_calls = asyncio.Event()
        self._without_calls.set()
        self._linger_seconds = 0.0
        self._is_refusing = self._is_ending = False
        self._calls: set[asyncio.Task[Any]] = set()
        # By peer, when the last call ended; those first that ended first.
        self._called_at: dict[str, float] = {}
        self._connections: dict[tuple[int, str], Connection | None] = {}

    def add_port(self, port: int) -> None:
        """Look after the connections of this port too."""
        self._ports.add(port)

    def hold_calls_open(self, seconds: float) -> None:
        """Hold calls open for so long after their last message, from now on."""
        self._linger_seconds = seconds

    def refuse_calls(self) -> None:
        """Refuse calls from now on, except those of monitors."""
        self._is_refusing = True

    def end_calls(self) -> None:
        """End open calls with UNAVAILABLE: gRPC itself would cancel them, and clients would not try again."""
        self._is_ending = True
        for call in self._calls:
            call.cancel()

    async def wait_without_calls(self, seconds: float) -> None:
        """Wait until no call is open, so many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._without_calls.wait()

    def interceptor(self) -> AroundCall:
        """Return an interceptor that counts the open calls of each connection."""

        @contextlib.asynccontextmanager
        async def around(method: str, context: Context) -> AsyncIterator[None]:
            if self._is_refusing and not method.startswith(QUIET):
                await abort(context, Unavailable(SHUTTING_DOWN, reason="SHUTTING_DOWN"), request_id(context))
            peer, call = context.peer(), asyncio.current_task()
            assert call is not None
            self._open_calls[peer] += 1
            self._without_calls.clear()
            self._calls.add(call)
            is_done = False
            try:
                yield
                is_done = True
                if self._linger_seconds:
                    await asyncio.sleep(self._linger_seconds)
            except asyncio.CancelledError:
                if not self._is_ending:
                    raise
                if not is_done:
                    await abort(context, Unavailable(SHUTTING_DOWN, reason="SHUTTING_DOWN"), request_id(context))
            finally:
                self._calls.discard(call)
                self._end_call(peer)

        return AroundCall(around)

    def _end_call(self, peer: str) -> None:
        self._open_calls[peer] -= 1
        if self._open_calls[peer]:
            return
        del self._open_calls[peer]
        if not self._open_calls:
            self._without_calls.set()
        self._called_at.pop(peer, None)
        self._called_at[peer] = time.monotonic()
        if len(self._called_at) > self._max_peers:
            del self._called_at[next(iter(self._called_at))]

    async def run(self) -> None:
        """Look after the connections until cancelled."""
        if IS_LINUX:
            await repeat("cannot look after connections", LOOK_SECONDS, self.look)

    async def look(self) -> None:
        """End idle connections if there are too many."""
        descriptors = os.listdir(DESCRIPTORS)
        # Without so many descriptors there cannot be so many connections, and a look costs next to nothing.
        found = set(_sockets(descriptors)) if len(descriptors) >= self._limit.total else set()
        for key in self._connections.keys() - found:
            self._forget(key)
        called_at = {_called_from(peer): at for peer, at in self._called_at.items()}
        called_at |= {_called_from(peer): math.inf for peer in self._open_calls}
        for connection in filter(None, self._connections.values()):
            connection.note(called_at.get(connection.peer, -math.inf))
        ended = sum(self._add(key, called_at) for key in found - self._connections.keys())
        if ended:
            log.warning("too many connections; some were ended", ended=ended)

    def _forget(self, key: tuple[int, str]) -> None:
        connection = self._connections.pop(key)
        if connection is not None and connection.slot is not None:
            self._limit.release(connection.slot)

    def _add(self, key: tuple[int, str], called_at: Mapping[Peer, float]) -> bool:
        """Take up a connection; return whether it, or another one for it, was ended."""
        self._connections[key] = connection = self._find(*key)
        if connection is None:
            return False
        free = self._limit.free
        client = client_network(parse_address(connection.peer[0]))
        try:
            connection.slot = self._limit.take(client, connection.end)
        except ResourceExhausted:  # all others are at work
            connection.end()
            return True
        connection.slot.wait()
        connection.note(called_at.get(connection.peer, -math.inf))
        return self._limit.free == free

    def _find(self, descriptor: int, inode: str) -> Connection | None:
        """Return the connection behind a socket; None for sockets that are none, or are none of these ports."""
        try:
            with _open(descriptor) as accepted:
                if (
                    accepted.family not in (socket.AF_INET, socket.AF_INET6)
                    or accepted.getsockname()[1] not in self._ports
                ):
                    return None
                return Connection(descriptor, inode, _peer(accepted))
        except OSError:  # closed meanwhile, or it only listens
            return None


def _sockets(descriptors: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the sockets among these descriptors, each with its inode."""
    for name in descriptors:
        with contextlib.suppress(OSError):  # closed meanwhile
            link = os.readlink(f"{DESCRIPTORS}/{name}")
            if link.startswith("socket:"):
                yield int(name), link


def _open(descriptor: int) -> socket.socket:
    """Return a socket of its own for a descriptor that belongs to others."""
    return socket.socket(fileno=os.dup(descriptor))


def _peer(connection: socket.socket) -> Peer:
    host, port = connection.getpeername()[:2]
    return str(parse_address(host)), port


def _called_from(peer: str) -> Peer:
    port = peer.rpartition(":")[2]
    return str(peer_address(peer)), int(port) if port.isdecimal() else 0

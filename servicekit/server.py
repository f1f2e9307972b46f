"""A gRPC server from start to drain: ports, health, reflection, signals.

service = Service([…], max_concurrent_calls, max_call_seconds)
add_XServicer_to_server(…, service.server)
service.listen("0.0.0.0:50051", credentials)
await service.start()
await stop_signal()
await service.drain(seconds)
"""

import asyncio
import contextlib
import signal
from collections.abc import Sequence

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from servicekit.chunks import MAX_MESSAGE_BYTES
from servicekit.config import ConfigError
from servicekit.health import Health
from servicekit.interceptors import error_boundary

log = structlog.get_logger("rpc")

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 5),
)

# Trust in a client lasts as long as its connection: bound it, so that a rotated CA takes hold.
CONNECTION_AGE_SECONDS = 3600.0
# What a call may take beyond its limit, to tell of its end.
LAST_WORDS_SECONDS = 60.0
# Clients ping to keep silent calls alive; one that does so more often is cut off after the strikes.
CLIENT_PING_SECONDS = 10.0

# The port of probes is open to whoever can reach it.
PROBE_CALLS = 100
PROBE_SECONDS = 60.0
PROBES_END_SECONDS = 1.0
MOST_MILLISECONDS = 2**31 - 1


class Service:
    """One process's gRPC servers: the main one, and a plaintext one for health probes and their like."""

    def __init__(
        self,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        max_concurrent_calls: int,
        max_call_seconds: float,
        connection_age_seconds: float = CONNECTION_AGE_SECONDS,
        client_ping_seconds: float = CLIENT_PING_SECONDS,
    ) -> None:
        """A connection takes no more calls from its age on; those that it has may take `max_call_seconds` each.
        `client_ping_seconds` is the least time between two pings of a client while its calls are silent."""
        options = (
            *OPTIONS,
            ("grpc.max_connection_age_ms", _milliseconds(connection_age_seconds)),
            ("grpc.max_connection_age_grace_ms", _milliseconds(max_call_seconds + LAST_WORDS_SECONDS)),
            ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(client_ping_seconds)),
        )
        self.server = grpc.aio.server(
            interceptors=list(interceptors), options=options, maximum_concurrent_rpcs=max_concurrent_calls
        )
        self.health = Health()
        self.probes = grpc.aio.server(
            interceptors=[error_boundary(PROBE_SECONDS)],
            options=(("grpc.so_reuseport", 0),),
            maximum_concurrent_rpcs=PROBE_CALLS,
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.probes)
        self._names: list[str] = []

    def reflect(self, names: Sequence[str]) -> None:
        """Offer reflection of these services, and health for each of them."""
        self._names = list(names)
        known = [*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(known, self.server)

    def listen(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        """Bind the main server; the port that it got. Without credentials only for unix sockets. Raises ConfigError."""
        return _bind(self.server, address, credentials)

    def listen_for_probes(self, address: str) -> int:
        """Bind the plaintext server of probes; the port that it got. Raises ConfigError."""
        return _bind(self.probes, address, None)

    async def start(self) -> None:
        """Serve, and say so to health checks."""
        await self.server.start()
        await self.probes.start()
        await self._set(health_pb2.HealthCheckResponse.SERVING)

    async def not_serving(self) -> None:
        """Say NOT_SERVING to health checks; calls are still answered."""
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def drain(self, seconds: float) -> None:
        """Say NOT_SERVING, refuse new calls, wait `seconds` for open ones, cancel what is left."""
        await self.not_serving()
        await self.health.end_watches()
        await asyncio.gather(self.server.stop(seconds), self.probes.stop(min(seconds, PROBES_END_SECONDS)))

    async def _set(self, status: int) -> None:
        for name in ("", *self._names):
            await self.health.set(name, status)


def _milliseconds(seconds: float) -> int:
    """As gRPC takes them: 24 days at most."""
    return min(round(seconds * 1000), MOST_MILLISECONDS)


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise ConfigError(f"cannot listen on {address}; is the port taken? ({error})") from error


async def stop_signal() -> None:
    """Wait for SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):
                loop.remove_signal_handler(number)

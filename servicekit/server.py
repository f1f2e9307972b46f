"""The gRPC servers of a process, from start to drain: ports, health, reflection, signals."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio
from grpc_reflection.v1alpha import reflection

from servicekit.addresses import client_network, peer_address
from servicekit.admission import CallClass, Classify, admission, open_class
from servicekit.chunks import MAX_MESSAGE_BYTES
from servicekit.config import ConfigError
from servicekit.connections import SHUTTING_DOWN, ConnectionGuard, max_connections
from servicekit.errors import Unavailable, from_code
from servicekit.interceptors import Context, error_boundary
from servicekit.tasks import cancel_and_wait

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 5),
)
HANDSHAKE_SECONDS = 10.0
# The main port, that of probes, and one of HTTP, which gateways have.
PORTS = 3

# Trust in a client lasts as long as its connection: bound it, so that a rotated CA takes hold.
CONNECTION_AGE_SECONDS = 3600.0
# Time beyond its limit for a call to report its end.
CALL_GRACE_SECONDS = 60.0
# Clients ping to keep silent calls alive; one that pings more often is disconnected after `max_ping_strikes`.
CLIENT_PING_SECONDS = 10.0

# The probes' port is open to anybody who can reach it.
MAX_PROBE_SECONDS = 60.0
PROBE_DRAIN_SECONDS = 1.0
# Calls that are cancelled get so long to let go of what they hold.
CLEAN_UP_SECONDS = 10.0
# Before a server stops it refuses calls for so long.
REFUSAL_SECONDS = 0.3
# During a drain, clients get so long to read the last messages of a call.
LINGER_SECONDS = 0.3
# Health watches get so long to receive NOT_SERVING.
LAST_STATUS_SECONDS = 0.1
# The name in health checks that says whether a restart would help: not against a full disk, which ends the others.
LIVENESS = "liveness"
MAX_MILLISECONDS = 2**31 - 1


class _Raising:
    """A context for servicers of others, whose abort raises the error as the services themselves do."""

    async def abort(self, code: grpc.StatusCode, text: str = "") -> NoReturn:
        raise from_code(int(code.value[0]), text or "There is no such service here.", "NO_SUCH_SERVICE")


class Health(aio.HealthServicer):
    """grpcio's health servicer, with watches that end at a shutdown: `Server.stop` waits for them as for any call."""

    def __init__(self) -> None:
        super().__init__()
        self._watches: set[asyncio.Task[None]] = set()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """Send the status and its changes until `end_watches`; end with UNAVAILABLE."""
        watch = asyncio.ensure_future(super().Watch(request, context))
        self._watches.add(watch)
        try:
            await asyncio.wait([watch])
        finally:
            self._watches.discard(watch)
            await cancel_and_wait(watch)
        raise Unavailable(SHUTTING_DOWN, reason="SHUTTING_DOWN")

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """Return the status. Raises NotFound for a service that is not here."""
        raising: Any = _Raising()
        response: health_pb2.HealthCheckResponse = await super().Check(request, raising)
        return response

    async def end_watches(self) -> None:
        """Report NOT_SERVING for good, and end every watch once it has sent that."""
        await self.enter_graceful_shutdown()
        if self._watches:
            await asyncio.sleep(LAST_STATUS_SECONDS)
            await cancel_and_wait(*self._watches)


class Service:
    """The gRPC servers of one process: the main one, and a plaintext one for health probes and scalers."""

    def __init__(
        self,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        max_call_seconds: float,
        connection_age_seconds: float = CONNECTION_AGE_SECONDS,
        client_ping_seconds: float = CLIENT_PING_SECONDS,
        handshake_seconds: float = HANDSHAKE_SECONDS,
        connections: int = 0,
        stream_window_bytes: int = 0,
    ) -> None:
        """Set the limits of connections.

        A connection older than `connection_age_seconds` takes no new calls; its open calls may go on for
        `max_call_seconds`. A client whose calls are silent may ping once in `client_ping_seconds`. TLS and the preface
        of HTTP/2 must come within `handshake_seconds`. Each port has so many `connections` at most; 0: as many as
        descriptors allow. A call may send `stream_window_bytes` ahead of what is read of it; 0: as much as its line
        carries in a round trip, as gRPC estimates it, which of many slow calls on a busy machine may be any number.
        """
        connections = connections or max_connections(PORTS)
        limits = (
            ("grpc.server_handshake_timeout_ms", _milliseconds(handshake_seconds)),
            ("grpc.max_allowed_incoming_connections", connections),
        )
        window = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", stream_window_bytes))
        options = (
            *OPTIONS,
            *limits,
            *(window if stream_window_bytes else ()),
            ("grpc.max_connection_age_ms", _milliseconds(connection_age_seconds)),
            ("grpc.max_connection_age_grace_ms", _milliseconds(max_call_seconds + CALL_GRACE_SECONDS)),
            ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(client_ping_seconds)),
        )
        # No maximum_concurrent_rpcs: it counts calls that have sent headers only, those of health checks too.
        self._guard, self._probe_guard = ConnectionGuard(connections), ConnectionGuard(connections)
        self._guarding: list[asyncio.Task[None]] = []
        self.server = grpc.aio.server(interceptors=[self._guard.interceptor(), *interceptors], options=options)
        self.health = Health()
        self.probes = grpc.aio.server(
            interceptors=[
                self._probe_guard.interceptor(),
                error_boundary(MAX_PROBE_SECONDS),
                admission(_probe_classes()),
            ],
            options=(("grpc.so_reuseport", 0), *limits),
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.probes)
        self._names: list[str] = []

    def reflect(self, names: Sequence[str]) -> None:
        """Serve reflection and health of these services."""
        self._names = list(names)
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        reflection.enable_server_reflection([*names, health_name, reflection.SERVICE_NAME], self.server)

    def listen(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        """Bind the main server and return its port; no credentials only for unix sockets. Raises ConfigError."""
        port = _bind(self.server, address, credentials)
        self._guard.add_port(port)
        return port

    def listen_for_probes(self, address: str) -> int:
        """Bind the plaintext server of probes and return its port. Raises ConfigError."""
        port = _bind(self.probes, address, None)
        self._probe_guard.add_port(port)
        return port

    async def start(self) -> None:
        """Start both servers and report SERVING."""
        await self.server.start()
        await self.probes.start()
        self._guarding = [asyncio.create_task(guard.run()) for guard in (self._guard, self._probe_guard)]
        await self.health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        await self.report_serving()

    async def report_serving(self) -> None:
        """Report SERVING to health checks, at the start or again."""
        await self._set(health_pb2.HealthCheckResponse.SERVING)

    async def report_not_serving(self) -> None:
        """Report NOT_SERVING to health checks, LIVENESS apart; calls are still answered."""
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def drain(self, seconds: float, linger_seconds: float = LINGER_SECONDS) -> None:
        """Report NOT_SERVING, refuse new calls, wait `seconds` for open ones, end the rest, which clean up.

        A call ends `linger_seconds` after its last message: gRPC closes a connection behind the last call, and what
        its client sent meanwhile makes the kernel drop what the client has not read yet.
        """
        self._guard.hold_calls_open(linger_seconds)
        await self.report_not_serving()
        await self.health.end_watches()
        self._guard.refuse_calls()
        if seconds:  # gRPC cancels calls that come just as it stops; those who were refused wait before they come again
            await asyncio.sleep(REFUSAL_SECONDS)
        stopping = asyncio.create_task(self.server.stop(seconds + CLEAN_UP_SECONDS))
        await asyncio.gather(
            asyncio.wait([stopping], timeout=seconds), self.probes.stop(min(seconds, PROBE_DRAIN_SECONDS))
        )
        self._guard.end_calls()
        await stopping
        # gRPC does not wait for the calls that it cancels, and what they hold would be left behind.
        await self._guard.wait_without_calls(CLEAN_UP_SECONDS)
        await cancel_and_wait(*self._guarding)

    async def _set(self, status: int) -> None:
        for name in ("", *self._names):
            await self.health.set(name, status)


def _probe_classes() -> Classify:
    """Return the classes of the probes' port: watches, which last, leave checks and scalers their slots."""
    checks, watches, others = open_class("checks"), open_class("watches", is_preemptible=True), open_class("calls")
    streams = open_class("streams", is_preemptible=True)
    by_name = {"Check": checks, "Watch": watches, "StreamIsActive": streams}

    def classify(method: str, context: Context) -> tuple[CallClass, str]:
        call_class = by_name.get(method.rpartition("/")[2], others)
        return call_class, client_network(peer_address(context.peer()))

    return classify


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), MAX_MILLISECONDS)  # an int32 in gRPC: 24 days


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

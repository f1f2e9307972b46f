"""A connection to a gateway: the channel, the key that goes with every call, and errors as ServiceError."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import grpc

from servicekit.backoff import Backoff
from servicekit.chunks import MAX_MESSAGE_BYTES
from servicekit.errors import Cancelled, ConfigError, FailedPrecondition, ServiceError, Unavailable, from_rpc
from servicekit.tls import Identity

Request = TypeVar("Request")
Response = TypeVar("Response")
KEY_HEADER = "x-api-key"
RECONNECT_SECONDS = 60.0
# For a gateway that has not answered yet, and may be starting again just now.
FIRST_SECONDS = 10.0
RETRY_BACKOFF = Backoff(first_seconds=0.3, max_seconds=2.0)
# Every answer of a gateway carries it.
REQUEST_ID = "x-request-id"
# Calls that change nothing, by service: gRPC repeats them by itself.
READING = {
    "AssetService": ("GetAsset", "ListAssets"),
    "DestinationService": ("ListDestinations",),
    "FleetService": ("GetFleet", "GetCosts"),
    "JobService": ("GetJob", "GetJobLog", "ListJobs", "ListWebhooks"),
    "KeyService": ("ListKeys",),
    "SystemService": ("GetInfo", "GetHealth", "GetRunpodHealth", "GetRunpodConfig"),
    "TenantService": ("GetTenant", "ListTenants"),
    "UploadService": ("GetUpload",),
    "UsageService": ("GetUsage",),
}
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": f"apigpu.v1.{service}", "method": method}
                for service, methods in READING.items()
                for method in methods
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
)

Metadata = tuple[tuple[str, str], ...]


class Endpoint:
    """A gateway at `target` (host:port), and who calls it. One that was there and is away is waited for, for so many
    seconds."""

    def __init__(
        self,
        target: str,
        key: str,
        credentials: grpc.ChannelCredentials,
        reconnect_seconds: float = RECONNECT_SECONDS,
    ) -> None:
        self.target = target
        self.key = key
        self.credentials = credentials
        self.reconnect_seconds = reconnect_seconds
        self.metadata: Metadata = ((KEY_HEADER, key),) if key else ()
        # Whether the gateway has answered: if so, one that is away comes back.
        self.has_answered = False

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise what goes wrong with a call in the block as ServiceError."""
        try:
            yield
        except grpc.RpcError as error:
            raise self._service_error(error) from error

    def _service_error(self, error: grpc.RpcError) -> ServiceError:
        assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
        failure = from_rpc(error)
        from_gateway = any(name == REQUEST_ID for name, _ in error.trailing_metadata() or ())
        # A gateway that stops, or is killed, may leave it to gRPC to end a call, which cancels it.
        if isinstance(failure, (Unavailable, Cancelled)) and not from_gateway:
            return Unavailable(
                f"{self.target} does not answer: {failure.message}. Is the gateway running there, and are the CA and "
                "the client certificate those it knows? `api-gpu up` starts one on this machine.",
                reason="UNREACHABLE",
            )
        return failure


class Connection(Endpoint):
    """A TLS channel to a gateway. Close it when done."""

    def __init__(
        self,
        target: str,
        key: str,
        credentials: grpc.ChannelCredentials,
        reconnect_seconds: float = RECONNECT_SECONDS,
    ) -> None:
        super().__init__(target, key, credentials, reconnect_seconds)
        self.channel = grpc.secure_channel(target, credentials, options=OPTIONS)

    def close(self) -> None:
        """End the connection, and every call on it."""
        self.channel.close()

    def call(
        self, method: "grpc.UnaryUnaryMultiCallable[Request, Response]", request: Request, more: Metadata = ()
    ) -> Response:
        """Call a method of the gateway with the key, and more metadata. Raises ServiceError."""
        with self.errors():
            answer = method(request, metadata=(*self.metadata, *more))
            self.has_answered = True
            return answer

    def call_until_answered(
        self, method: "grpc.UnaryUnaryMultiCallable[Request, Response]", request: Request, more: Metadata = ()
    ) -> Response:
        """Call a method that may be called again, for as long as `Retries` allow. Raises ServiceError."""
        retries = Retries(self)
        while True:
            try:
                return self.call(method, request, more)
            except Unavailable:
                if not retries.allow():
                    raise


class Retries:
    """How long what fails is tried again, with growing pauses: for the connection's `reconnect_seconds` since the first
    failure after it last got on; FIRST_SECONDS at most where the gateway has never been there."""

    def __init__(self, connection: Endpoint) -> None:
        self._connection = connection
        self._failures = 0
        self._failing_since = 0.0
        self._done = 0

    def allow(self) -> bool:
        """Return True after a pause; False once it has failed for too long."""
        pause_seconds = self.next_pause()
        if pause_seconds is not None:
            time.sleep(pause_seconds)
        return pause_seconds is not None

    def next_pause(self) -> float | None:
        """Note a failure; return the seconds before the next try, None once it has failed for too long."""
        now, limit_seconds = time.monotonic(), self._connection.reconnect_seconds
        if not self._connection.has_answered:
            limit_seconds = min(limit_seconds, FIRST_SECONDS)
        if not self._failures:
            self._failing_since = now
        if now - self._failing_since > limit_seconds:
            return None
        self._failures += 1
        return RETRY_BACKOFF.pause_seconds(self._failures)

    def got_on(self, done: int) -> None:
        """Note how much is done; with more than before, the failures are forgotten."""
        if done > self._done:
            self._done, self._failures = done, 0


def credentials(ca: Path | None, certificate: Path | None, private_key: Path | None) -> grpc.ChannelCredentials:
    """Return TLS credentials from PEM files; without `ca` the roots that gRPC ships. Raises FailedPrecondition."""
    try:
        if ca and certificate and private_key:
            return Identity.read(certificate=certificate, key=private_key, ca=ca).channel_credentials()
        return grpc.ssl_channel_credentials(
            *(path.read_bytes() if path else None for path in (ca, private_key, certificate))
        )
    except ConfigError as error:
        raise FailedPrecondition(str(error), reason="TLS_FILES") from error
    except OSError as error:
        text = (
            f"cannot read {error.filename}: {error.strerror}. Go to the folder where `api-gpu up` runs, or name its "
            "data folder: --data-dir, Client.local(path). For a gateway elsewhere name its certificates."
        )
        raise FailedPrecondition(text, reason="TLS_FILES") from error

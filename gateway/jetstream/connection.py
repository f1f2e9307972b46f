"""The connection to NATS JetStream, on the server of NATS_URL or the embedded one: buckets, queues and topics."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import structlog
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.js.api import (
    DiscardPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError

from gateway.jetstream.errors import nats_errors
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.queue import WorkQueue, workers_of
from gateway.jetstream.server import EmbeddedServer, can_connect
from servicekit.config import ConfigError
from servicekit.errors import Unavailable

log = structlog.get_logger("gateway.jetstream")

T = TypeVar("T")

DEFAULT_PORT = 4222
RETRY_SECONDS = 0.25
# Code of an answer of JetStream's.
UNAVAILABLE = 503
# A server whose machine vanished sends no reset: it is found out within half a minute, by the third ping that is due.
PING_SECONDS = 10.0
MAX_UNANSWERED_PINGS = 2


class JetStream:
    """One connection, which restores itself when it is lost, and the embedded server where there is one."""

    def __init__(
        self, server: EmbeddedServer | None, connect_seconds: float, replicas: int, ping_seconds: float
    ) -> None:
        # Where there is no NATS_URL.
        self.server = server
        self._connect_seconds = connect_seconds
        self._replicas = replicas
        self._ping_seconds = ping_seconds
        self._client = _Client(ping_seconds * (MAX_UNANSWERED_PINGS + 1))
        self._stream = self._client.jetstream()
        self._urls: list[SplitResult] = []
        self._is_closing = False
        # Called after each reconnect.
        self.on_reconnect: list[Callable[[], None]] = []
        # Set when the connection ended for good, which only a restart can mend.
        self.lost = asyncio.Event()
        # Set by each write that the server does not confirm.
        self.write_failed = asyncio.Event()
        self._buckets: list[KeyValue] = []

    @property
    def endpoints(self) -> list[tuple[str, int]]:
        """Host and port of the servers that this connection may lead to."""
        urls: list[Any] = [*self._urls, *self._client.discovered_servers]
        return [(url.hostname or "127.0.0.1", url.port or DEFAULT_PORT) for url in urls]

    @classmethod
    async def open(
        cls, url: str, folder: Path, connect_seconds: float, replicas: int = 1, ping_seconds: float = PING_SECONDS
    ) -> "JetStream":
        """Connect to `url`, or, when it is empty, to the embedded server, started in `folder`. Raise ConfigError.

        `replicas` is the number of servers of a cluster that keep each record and message. A server that is silent for
        three times `ping_seconds` is taken for lost, and connected to again. What is opened later waits for so long
        too, while the cluster has no leader.
        """
        server = None if url else EmbeddedServer(folder)
        jetstream = cls(server, connect_seconds, replicas, ping_seconds)
        try:
            if server:
                await server.start()
            await jetstream._connect(server.url if server else url)
        except BaseException:
            if server:
                await server.stop()
            raise
        return jetstream

    async def close(self) -> None:
        """Disconnect, and end the embedded server."""
        self._is_closing = True
        await self._client.close()
        if self.server:
            await self.server.stop()

    async def key_value(self, bucket: str, max_age_seconds: float | None = None) -> KeyValue:
        """Open a bucket, whose entries go after a time if one is given, and create it if it is missing. Raise
        ConfigError."""
        config = KeyValueConfig(
            bucket=bucket, history=1, ttl=max_age_seconds, storage=StorageType.FILE, replicas=self._replicas
        )
        opened = await self._at_start(f"bucket {bucket}", lambda: self._stream.create_key_value(config))
        key_value = KeyValue(bucket, opened, self._stream, self._client.max_payload, self.write_failed)
        self._buckets.append(key_value)
        self.on_reconnect.append(key_value.restart_watches)
        return key_value

    async def queue(self, name: str, ack_wait_seconds: float) -> WorkQueue:
        """Open a work queue, and create it if it is missing. Raise ConfigError."""
        for own in (name, f"{name}_lanes"):
            await self._work_stream(own)
        # Created or updated: the setting may have changed since the last start.
        consumer = workers_of(name, ack_wait_seconds)
        await self._at_start(f"consumer of {name}", lambda: self._stream.add_consumer(name.upper(), consumer))
        return WorkQueue(self._stream, self._client, name, ack_wait_seconds, self.write_failed)

    async def _work_stream(self, name: str) -> None:
        stream = StreamConfig(
            name=name.upper(),
            subjects=[f"{name}.>"],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            # A subject holds one message: publishing what is queued already is refused, for ever and exactly.
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=1,
            num_replicas=self._replicas,
        )
        await self._at_start(f"stream {name.upper()}", lambda: self._stream.add_stream(stream))

    async def _at_start(self, what: str, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step of the start, again where it may only take time: a cluster has no leader for some seconds after it
        lost one. Raises ConfigError, as in the end it is settings that keep a server from storing."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._connect_seconds
        while True:
            try:
                with nats_errors():
                    return await step()
            except Unavailable as error:
                cause = error.__cause__
                if clock() >= until or not _may_pass(cause):
                    raise ConfigError(
                        f"NATS_URL: the server cannot make or open the {what} ({cause}); is JetStream on, "
                        "and was it made with other settings (NATS_REPLICAS)?"
                    ) from error
                log.warning("waiting for the store", step=what, error=str(cause))
            await asyncio.sleep(RETRY_SECONDS)

    @property
    def is_connected(self) -> bool:
        """True while there is a connection."""
        return self._client.is_connected

    async def can_write(self) -> bool:
        """Return True if every bucket takes a write."""
        return all(await asyncio.gather(*(bucket.can_write() for bucket in self._buckets)))

    async def publish(self, topic: str, data: bytes) -> None:
        """Send to the subscribers of now; nothing is stored."""
        with nats_errors():
            await self._client.publish(topic, data)

    @contextlib.asynccontextmanager
    async def subscribe(self, topic: str, listener: Callable[[str, bytes], None]) -> AsyncIterator[None]:
        """Call `listener(topic, data)` for every message on `topic` ("*" for any part) while the block runs."""

        async def received(message: Msg) -> None:
            listener(message.subject, message.data)

        with nats_errors():
            subscription = await self._client.subscribe(topic, cb=received)
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()

    async def _connect(self, url: str) -> None:
        """Raise ConfigError if no server answers in time, or it refuses."""
        self._urls, connect_seconds = _servers(url), self._connect_seconds
        await _until_listening(url, connect_seconds)
        try:
            await self._client.connect(
                [part.strip() for part in url.split(",")],
                name="api-gpu gateway",
                connect_timeout=max(1, int(connect_seconds)),
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RETRY_SECONDS,  # type: ignore[arg-type]  # any number will do
                ping_interval=self._ping_seconds,  # type: ignore[arg-type]
                max_outstanding_pings=MAX_UNANSWERED_PINGS,
                reconnected_cb=self._reconnected,
                disconnected_cb=self._disconnected,
                closed_cb=self._closed,
                error_cb=_log_error,
                **_credentials(self._urls),
            )
        except Exception as error:
            shown = _without_password(url)
            raise ConfigError(f"NATS_URL={shown}: the server does not let the gateway in ({error})") from error

    async def _reconnected(self) -> None:
        log.warning("connected to NATS again")
        for callback in self.on_reconnect:
            callback()

    async def _disconnected(self) -> None:
        if not self._is_closing:
            log.warning("connection to NATS lost")

    async def _closed(self) -> None:
        if not self._is_closing:
            log.error("NATS ended the connection for good")
            self.lost.set()


class _Client(Client):
    """A client whose sockets give up after `silence_seconds` in which the server acknowledged nothing.

    Before the client connects again it waits until the old socket is closed, which one with unsent bytes is not until
    its server takes them, or the kernel gives up: after a quarter of an hour.
    """

    def __init__(self, silence_seconds: float) -> None:
        super().__init__()
        self._silence_seconds = silence_seconds

    async def _connect_to_server(self, s: Srv) -> None:
        await super()._connect_to_server(s)
        transport = self._transport
        if sys.platform == "linux" and isinstance(transport, TcpTransport) and transport._io_writer is not None:
            connected = transport._io_writer.get_extra_info("socket")
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._silence_seconds * 1000))


async def _log_error(error: Exception) -> None:
    log.warning("NATS reports an error", error=str(error) or type(error).__name__)


def _may_pass(error: BaseException | None) -> bool:
    """Return True for what may be over in a moment: no answer, or that the server cannot serve now (503)."""
    return not isinstance(error, APIError) or error.code == UNAVAILABLE


async def _until_listening(url: str, connect_seconds: float) -> None:
    """Wait until a server listens: a probe does not wait 2 s after a refusal as the client does, and gives up in time.
    Raise ConfigError."""
    servers = _servers(url)
    try:
        async with asyncio.timeout(connect_seconds):
            while True:
                for server in servers:
                    if await can_connect(server.hostname or "127.0.0.1", server.port or DEFAULT_PORT):
                        return
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError as error:
        raise ConfigError(
            f"NATS_URL={_without_password(url)}: no server answers there within {connect_seconds:g} s; "
            "start it, correct the URL, or leave NATS_URL empty for the embedded server"
        ) from error


def _servers(url: str) -> list[SplitResult]:
    """Return the servers of NATS_URL, which may lack the scheme: "host", "host:port"."""
    parts = (part.strip() for part in url.split(","))
    return [urlsplit(part if "//" in part else f"nats://{part}") for part in parts]


def _credentials(urls: list[SplitResult]) -> dict[str, Any]:
    """Return the options for what the URLs have all alike, as servers that these tell of come without credentials."""
    found = {(url.username, url.password) for url in urls}
    user, password = found.pop() if len(found) == 1 else (None, None)
    if user is None:
        return {}
    return {"token": user} if password is None else {"user": user, "password": password}


def _without_password(url: str) -> str:
    return ",".join(part.rsplit("@", 1)[-1] for part in url.split(","))

"""The connection to NATS: a server given by NATS_URL, or the embedded one. Opens the buckets, queues and topics."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from nats.aio.client import Client, Srv
from nats.aio.transport import TcpTransport
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from gateway.jetstream.errors import nats_errors
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.queue import WorkQueue
from gateway.jetstream.server import EmbeddedServer, can_connect
from servicekit.config import ConfigError
from servicekit.errors import Unavailable

log = structlog.get_logger("engine")

DEFAULT_PORT = 4222
RETRY_SECONDS = 0.25
# A server whose machine vanished sends no reset: find out within half a minute, by the third ping that is due.
PING_SECONDS = 10.0
MAX_UNANSWERED_PINGS = 2


class JetStream:
    """One connection, and the embedded server where there is one."""

    def __init__(
        self, client: Client, server: EmbeddedServer | None, connection: "Connection", replicas: int = 1
    ) -> None:
        self._client = client
        self._server = server
        self._connection = connection
        self._replicas = replicas
        self._stream: JetStreamContext = client.jetstream()

    @classmethod
    async def open(
        cls, url: str, folder: Path, connect_seconds: float, replicas: int = 1, ping_seconds: float = PING_SECONDS
    ) -> "JetStream":
        """Connect to `url`, or, when it is empty, start the embedded server in `folder`. Raises ConfigError.

        `replicas`: servers of a cluster that keep each record and message. A server that is silent for three times
        `ping_seconds` is taken for lost, and connected to again.
        """
        server = None
        if not url:
            server = EmbeddedServer(folder)
            await server.start()
        connection = Connection(ping_seconds)
        try:
            client = await connection.open(server.url if server else url, connect_seconds)
        except BaseException:
            if server:
                await server.stop()
            raise
        return cls(client, server, connection, replicas)

    async def close(self) -> None:
        """Disconnect, and end the embedded server."""
        self._connection.is_closing = True
        await self._client.close()
        if self._server:
            await self._server.stop()

    @property
    def server_pid(self) -> int | None:
        """The process id of the embedded server, as long as there is one."""
        return self._server.pid if self._server else None

    @property
    def lost(self) -> asyncio.Event:
        """Set when the connection ended for good, which only a restart can mend."""
        return self._connection.lost

    async def key_value(self, bucket: str) -> KeyValue:
        """The bucket, made when it is missing."""
        config = KeyValueConfig(bucket=bucket, history=1, storage=StorageType.FILE, replicas=self._replicas)
        with _at_start(f"bucket {bucket}"):
            made = await self._stream.create_key_value(config)
        store = KeyValue(bucket, made, self._stream, self._client.max_payload)
        self._connection.on_reconnect.append(store.restart_watches)
        return store

    async def queue(self, name: str, ack_wait_seconds: float) -> WorkQueue:
        """The work queue, made when it is missing."""
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
        # Tries are counted in the job's record, so none is ever stranded by the server's own limit.
        workers = f"{name}-workers"
        consumer = ConsumerConfig(
            durable_name=workers,
            filter_subject=f"{name}.>",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait_seconds,
            max_deliver=-1,
            max_ack_pending=10_000,
        )
        with _at_start(f"stream {name.upper()}"):
            await self._stream.add_stream(stream)
            # Made or changed: the setting may be another than at the last start.
            await self._stream.add_consumer(name.upper(), consumer)
            puller = await self._stream.pull_subscribe_bind(consumer=workers, stream=name.upper())
        return WorkQueue(self._stream, puller, name, ack_wait_seconds)

    async def publish(self, topic: str, data: bytes) -> None:
        """Send to whoever listens now; nothing is kept."""
        with nats_errors():
            await self._client.publish(topic, data)

    @contextlib.asynccontextmanager
    async def subscribe(self, topic: str, heard: Callable[[str, bytes], None]) -> AsyncIterator[None]:
        """Call `heard(topic, data)` for every announcement on `topic` ("*" for any part) while the block runs."""

        async def receive(message: object) -> None:
            heard(message.subject, message.data)  # type: ignore[attr-defined]

        with nats_errors():
            subscription = await self._client.subscribe(topic, cb=receive)
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()


@contextlib.contextmanager
def _at_start(what: str) -> Iterator[None]:
    """At the start a server that cannot keep what it is asked to is a matter of settings."""
    try:
        with nats_errors():
            yield
    except Unavailable as error:
        raise ConfigError(
            f"NATS_URL: the server cannot make or open the {what} ({error.__cause__}); is JetStream on, "
            "and was it made with other settings (NATS_REPLICAS)?"
        ) from error


class _Client(Client):
    """The client on sockets that give up. Before it connects again it waits until the old socket is closed, which one
    with bytes left to send is not until its server takes them, or the kernel lets go: after a quarter of an hour."""

    def __init__(self, silence_seconds: float) -> None:
        """`silence_seconds`: how long a server may take none of what it is sent."""
        super().__init__()
        self._silence_seconds = silence_seconds

    async def _connect_to_server(self, s: Srv) -> None:
        await super()._connect_to_server(s)
        transport = self._transport
        if sys.platform == "linux" and isinstance(transport, TcpTransport) and transport._io_writer is not None:
            connected = transport._io_writer.get_extra_info("socket")
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._silence_seconds * 1000))


class Connection:
    """What happens to the connection over its life: it is lost and found by itself, until it is closed."""

    def __init__(self, ping_seconds: float) -> None:
        self._ping_seconds = ping_seconds
        self.on_reconnect: list[Callable[[], None]] = []
        self.is_closing = False
        self.lost = asyncio.Event()

    async def open(self, url: str, connect_seconds: float) -> Client:
        """Connect. Raises ConfigError when no server answers in time, or it refuses."""
        await _until_listening(url, connect_seconds)
        client = _Client(self._ping_seconds * (MAX_UNANSWERED_PINGS + 1))
        try:
            await client.connect(
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
                error_cb=self._failed,
            )
        except Exception as error:
            raise ConfigError(f"NATS_URL={_shown(url)}: the server does not let the gateway in ({error})") from error
        return client

    async def _reconnected(self) -> None:
        log.warning("connected to NATS again")
        for callback in self.on_reconnect:
            callback()

    async def _disconnected(self) -> None:
        if not self.is_closing:
            log.warning("connection to NATS lost")

    async def _closed(self) -> None:
        if not self.is_closing:
            log.error("NATS ended the connection for good")
            self.lost.set()

    async def _failed(self, error: Exception) -> None:
        log.warning("NATS reports an error", error=str(error) or type(error).__name__)


async def _until_listening(url: str, connect_seconds: float) -> None:
    """The client waits 2 s after a refused connect; a probe of the socket does not, and knows when to give up."""
    servers = [urlsplit(part.strip()) for part in url.split(",")]
    try:
        async with asyncio.timeout(connect_seconds):
            while True:
                for server in servers:
                    if await can_connect(server.hostname or "127.0.0.1", server.port or DEFAULT_PORT):
                        return
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError as error:
        raise ConfigError(
            f"NATS_URL={_shown(url)}: no server answers there within {connect_seconds:g} s; "
            "start it, correct the URL, or leave NATS_URL empty for the embedded server"
        ) from error


def _shown(url: str) -> str:
    """The URL without user and password."""
    return ",".join(part.rsplit("@", 1)[-1] for part in url.split(","))

"""A work queue: each message is held by one worker at a time, and redelivered when that one falls silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError

from gateway.jetstream.errors import nats_errors, reraise_swallowed_cancel
from servicekit.errors import ServiceError, Unavailable

log = structlog.get_logger("gateway.jetstream")

POLL_SECONDS = 5.0
RETRY_SECONDS = 0.5
# JetStream has one error code for whatever keeps a message from being stored; its text tells a full subject from a
# full disk.
NOT_STORED = 10077
FULL_SUBJECT = "maximum messages per subject exceeded"


class Delivery:
    """A message that this worker holds. It must be acknowledged or returned."""

    def __init__(self, message: Msg, prefix: str, heartbeat_seconds: float) -> None:
        self._message = message
        self.key = message.subject.removeprefix(prefix + ".")
        self._heartbeat_seconds = heartbeat_seconds

    async def ack(self) -> None:
        """Acknowledge the message, confirmed by the server: it is gone for good. A second time does nothing."""
        if self._message.is_acked:
            return
        with nats_errors():
            await self._message.ack_sync()

    async def give_back(self, delay_seconds: float = 0) -> None:
        """Return the message to the queue, which redelivers it after a delay; nothing once it is acknowledged."""
        if self._message.is_acked:
            return
        with nats_errors():
            await self._message.nak(delay=delay_seconds or None)

    @contextlib.asynccontextmanager
    async def keep_alive(self) -> AsyncIterator[None]:
        """Send heartbeats while the block runs, which keep the message from being redelivered."""
        heartbeats = asyncio.create_task(self._send_heartbeats())
        try:
            yield
        finally:
            heartbeats.cancel()

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            try:
                with nats_errors():
                    await self._message.in_progress()
            except ServiceError as error:
                log.warning("cannot send a heartbeat for a message", key=self.key, error=str(error.__cause__))


class WorkQueue:
    """A queue of keys, each in it once at most."""

    def __init__(
        self,
        stream: JetStreamContext,
        puller: JetStreamContext.PullSubscription,
        name: str,
        ack_wait_seconds: float,
    ) -> None:
        self._stream = stream
        self._puller = puller
        self._name = name
        self._heartbeat_seconds = ack_wait_seconds / 3

    async def put(self, key: str) -> bool:
        """Queue `key`; on return it is on disk. Return False if it is queued already. Raise Unavailable."""
        with nats_errors():
            try:
                await self._stream.publish(f"{self._name}.{key}", b"")
            except APIError as error:
                if error.err_code != NOT_STORED or error.description != FULL_SUBJECT:
                    raise
                return False
        return True

    async def next(self) -> Delivery:
        """Wait for the next message, and through errors of the server."""
        while True:
            try:
                with reraise_swallowed_cancel():
                    (message,) = await self._puller.fetch(1, timeout=POLL_SECONDS)
                return Delivery(message, self._name, self._heartbeat_seconds)
            except (TimeoutError, nats.errors.TimeoutError):
                continue
            except (nats.errors.Error, OSError, Unavailable) as error:
                log.warning("cannot read the queue; trying again", error=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

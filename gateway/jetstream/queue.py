"""A queue whose messages are each held by one worker at a time, and given to another when it falls silent."""

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

log = structlog.get_logger("engine")

POLL_SECONDS = 5.0
RETRY_SECONDS = 0.5
# JetStream has one error code for whatever keeps a message from being stored; its text tells a full subject from a
# full disk.
NOT_STORED = 10077
FULL_SUBJECT = "maximum messages per subject exceeded"


class Delivery:
    """A message that this worker holds; it must be acknowledged or returned."""

    def __init__(self, message: Msg, prefix: str, heartbeat_seconds: float) -> None:
        self._message = message
        self.key = message.subject.removeprefix(prefix + ".")
        self._heartbeat_seconds = heartbeat_seconds

    async def ack(self) -> None:
        """Done: the message is gone for good, confirmed by the server. Once more is no fault."""
        if self._message.is_acked:
            return
        with nats_errors():
            await self._message.ack_sync()

    async def give_back(self, delay_seconds: float = 0) -> None:
        """Not done: the message is delivered again, after a delay, unless it was acknowledged."""
        if self._message.is_acked:
            return
        with nats_errors():
            await self._message.nak(delay=delay_seconds or None)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Keep the message from being delivered to others while the block runs."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            try:
                with nats_errors():
                    await self._message.in_progress()
            except ServiceError as error:
                log.warning("heartbeat failed", key=self.key, error=str(error.__cause__))


class WorkQueue:
    """The queue: one message a key at most."""

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
        """Queue `key`; False when it is queued already. On return it is on disk. Raises Unavailable."""
        with nats_errors():
            try:
                await self._stream.publish(f"{self._name}.{key}", b"")
            except APIError as error:
                if error.err_code != NOT_STORED or error.description != FULL_SUBJECT:
                    raise
                return False
        return True

    async def next(self) -> Delivery:
        """Wait for the next message; faults of the server are waited out."""
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

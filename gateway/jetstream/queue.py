"""A work queue: each message is held by one worker at a time, and redelivered when that one falls silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError

from gateway.jetstream.errors import nats_errors
from servicekit.errors import ServiceError, Unavailable

log = structlog.get_logger("gateway.jetstream")

POLL_SECONDS = 5.0
RETRY_SECONDS = 0.5
# JetStream has one error code for whatever keeps a message from being stored; its text tells a full subject from a
# full disk.
NOT_STORED = 10077
FULL_SUBJECT = "maximum messages per subject exceeded"


@dataclass(eq=False)
class Delivery:
    """A message that this worker holds. It must be acknowledged or returned."""

    message: Msg
    key: str
    heartbeat_seconds: float

    @property
    def count(self) -> int:
        """How often the message was delivered, this time included."""
        return int(self.message.metadata.num_delivered)

    async def ack(self) -> None:
        """Acknowledge the message, confirmed by the server: it is gone for good. A second time does nothing."""
        if self.message.is_acked:
            return
        with nats_errors():
            await self.message.ack_sync()

    async def give_back(self, delay_seconds: float = 0) -> None:
        """Return the message to the queue, which redelivers it after a delay; nothing once it is acknowledged."""
        if self.message.is_acked:
            return
        with nats_errors():
            await self.message.nak(delay=delay_seconds or None)

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
            await asyncio.sleep(self.heartbeat_seconds)
            try:
                with nats_errors():
                    await self.message.in_progress()
            except ServiceError as error:
                log.warning("cannot send a heartbeat for a message", key=self.key, error=str(error.__cause__))


@dataclass(eq=False)
class WorkQueue:
    """A queue of keys, each in it once at most."""

    stream: JetStreamContext
    puller: JetStreamContext.PullSubscription
    name: str
    ack_wait_seconds: float
    # Set by each write that the server does not confirm.
    write_failed: asyncio.Event = field(default_factory=asyncio.Event)

    async def put(self, key: str) -> bool:
        """Queue `key`; on return it is on disk. Return False if it is queued already. Raise Unavailable."""
        try:
            with nats_errors():
                await self.stream.publish(f"{self.name}.{key}", b"")
        except Unavailable as error:
            if _is_queued_already(error.__cause__):
                return False
            self.write_failed.set()
            raise
        return True

    async def keys(self) -> set[str]:
        """Return the keys that are queued or held, 100,000 at most."""
        prefix = f"{self.name}."
        with nats_errors():
            found = await self.stream.stream_info(self.name.upper(), subjects_filter=f"{prefix}>")
        return {subject.removeprefix(prefix) for subject in found.state.subjects or ()}

    async def next(self) -> Delivery:
        """Wait for the next message, and through errors of the server."""
        while True:
            try:
                with nats_errors():
                    (message,) = await self.puller.fetch(1, timeout=POLL_SECONDS)
                return Delivery(message, message.subject.removeprefix(f"{self.name}."), self.ack_wait_seconds / 3)
            except Unavailable as error:
                cause = error.__cause__
                if not isinstance(cause, TimeoutError):
                    log.warning("cannot read the queue; trying again", error=str(cause) or type(cause).__name__)
                    await asyncio.sleep(RETRY_SECONDS)


def _is_queued_already(error: BaseException | None) -> bool:
    return isinstance(error, APIError) and (error.err_code, error.description) == (NOT_STORED, FULL_SUBJECT)

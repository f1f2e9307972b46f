"""Task assignments by heartbeat: a gateway that is silent for 20 s loses its tasks, which count as waiting again,
whatever their records say."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import structlog

from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.cluster")

PREFIX = "holder."
HEARTBEAT_SECONDS = 5.0
SILENT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat of another gateway: the instance ("" for an encoder of one's own) of each of its tasks, and
    when it was received by our own monotonic clock."""

    tasks: Mapping[str, str]
    received_at: float


class TaskAssignments:
    """The tasks of all gateways. A gateway without tasks sends no heartbeats."""

    def __init__(
        self,
        bucket: KeyValue,
        gateway: str,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """`gateway` is this gateway's name, unlike that of any other, its own earlier ones too."""
        # Told again of all heartbeats after a reconnect: their senders were as cut off as we were.
        self._records = Records(bucket, dict[str, str], "heartbeat", PREFIX, keeps_values=False, repeats=True)
        self._records.listeners.append(self._received)
        self._gateway = gateway
        self._heartbeat_seconds = heartbeat_seconds
        self._silent_seconds = silent_seconds
        self._own: dict[str, str] = {}
        self._others: dict[str, Heartbeat] = {}
        self._changed = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the heartbeats of others, and begin to send."""
        await self._records.start()
        self._sending = asyncio.create_task(self._heartbeat_loop())

    async def stop(self) -> None:
        """Give up all tasks."""
        await self.silence()
        with contextlib.suppress(ServiceError):
            await self._records.delete(self._gateway)

    async def silence(self) -> None:
        """Send and receive no more, as a gateway that was killed."""
        await self._records.stop()
        if self._sending is not None:
            await cancel_and_wait(self._sending)

    @contextlib.contextmanager
    def assign(self, task: str, instance: str) -> Iterator[None]:
        """Assign the task to this gateway while the block runs, on the instance ("" for an encoder of one's own)."""
        self._own[task] = instance
        self._changed.set()
        try:
            yield
        finally:
            self._own.pop(task, None)
            self._changed.set()

    def assigned(self) -> dict[str, str]:
        """Return the instance of each task that a living gateway has."""
        return {task: instance for tasks in (*self._elsewhere(), self._own) for task, instance in tasks.items()}

    def is_assigned_elsewhere(self, task: str) -> bool:
        """Return True if a living gateway other than this one has the task."""
        return any(task in tasks for tasks in self._elsewhere())

    async def expire_dead(self) -> None:
        """Delete the heartbeats of gateways that are dead."""
        for gateway, heartbeat in list(self._others.items()):
            if time.monotonic() - heartbeat.received_at > 2 * self._silent_seconds:
                await self._records.delete(gateway)
                self._others.pop(gateway, None)

    def _elsewhere(self) -> Iterator[Mapping[str, str]]:
        for heartbeat in self._others.values():
            if time.monotonic() - heartbeat.received_at < self._silent_seconds:
                yield heartbeat.tasks

    def _received(self, gateway: str, tasks: dict[str, str] | None) -> None:
        if gateway != self._gateway:
            self._others[gateway] = Heartbeat(tasks or {}, time.monotonic())

    async def _heartbeat_loop(self) -> None:
        sent: dict[str, str] = {}
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat_seconds if self._own else None):
                    await self._changed.wait()
            self._changed.clear()
            tasks = dict(self._own)
            if tasks or tasks != sent:
                try:
                    await self._records.put(self._gateway, tasks)
                    sent = tasks
                except ServiceError as error:
                    log.warning("cannot send a heartbeat", error=error.message)
            # Many tasks begin and end at once: send them together.
            await asyncio.sleep(self._heartbeat_seconds / 10)

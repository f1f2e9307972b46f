"""Who has which task: each gateway tells what it has in hand, and the others believe it for as long as it goes on
telling. A task that is in nobody's hand waits, whatever its record says: its gateway may have died."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import structlog

from gateway.jetstream.keyvalue import KeyValue, Watch
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("fleet")

PREFIX = "holder."
TELL_SECONDS = 5.0
SILENT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What another gateway told last: the machine ("": none that is paid for) of each of its tasks, and when by our own
    monotonic clock."""

    tasks: Mapping[str, str]
    heard_at: float


class TaskAssignments:
    """The tasks in hand, of all gateways. A gateway that has none says nothing."""

    def __init__(
        self,
        records: KeyValue,
        name: str,
        tell_seconds: float = TELL_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """`name` is this gateway's, unlike that of any other, its own earlier ones too. One that has tasks tells of
        them every `tell_seconds`, and is taken for dead after `silent_seconds`."""
        self._records = records
        self._key = PREFIX + name
        self._tell_seconds = tell_seconds
        self._silent_seconds = silent_seconds
        self._own: dict[str, str] = {}
        self._others: dict[str, Heartbeat] = {}
        self._changed = asyncio.Event()
        self._watching = Watch(records, self._heard)
        self._telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Hear what others told, and begin to tell."""
        await self._watching.start()
        self._telling = asyncio.create_task(self._tell_for_ever())

    async def stop(self) -> None:
        """Have nothing in hand any more."""
        await self._watching.stop()
        if self._telling is not None:
            await cancel_and_wait(self._telling)
        with contextlib.suppress(ServiceError):
            await self._records.delete(self._key)

    @contextlib.contextmanager
    def holding(self, task: str, machine: str) -> Iterator[None]:
        """While the block runs this gateway has the task, on the machine ("": none that is paid for)."""
        self._own[task] = machine
        self._changed.set()
        try:
            yield
        finally:
            self._own.pop(task, None)
            self._changed.set()

    def held(self) -> dict[str, str]:
        """The machine of each task that a living gateway has in hand."""
        found: dict[str, str] = {}
        for tasks in self._elsewhere():
            found.update(tasks)
        return found | self._own

    def is_held_elsewhere(self, task: str) -> bool:
        """Whether a living gateway other than this one has the task in hand."""
        return any(task in tasks for tasks in self._elsewhere())

    def _elsewhere(self) -> Iterator[Mapping[str, str]]:
        for word in self._others.values():
            if time.monotonic() - word.heard_at < self._silent_seconds:
                yield word.tasks

    async def forget_dead(self) -> None:
        """Delete what gateways told that are dead."""
        for key, word in list(self._others.items()):
            if time.monotonic() - word.heard_at > 2 * self._silent_seconds:
                await self._records.delete(key)
                self._others.pop(key, None)

    def _heard(self, key: str, value: bytes | None, _: int) -> None:
        if not key.startswith(PREFIX) or key == self._key:
            return
        try:
            self._others[key] = Heartbeat(json.loads(value or b"{}"), time.monotonic())
        except ValueError:
            log.warning("what a gateway told cannot be read", key=key)

    async def _tell_for_ever(self) -> None:
        told = ""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._tell_seconds if self._own else None):
                    await self._changed.wait()
            self._changed.clear()
            text = json.dumps(self._own)
            if self._own or text != told:
                try:
                    await self._records.put(self._key, text.encode())
                    told = text
                except ServiceError as error:
                    log.warning("cannot tell the other gateways what is in hand", error=error.message)
            # Many begin and end at once: tell of them together.
            await asyncio.sleep(self._tell_seconds / 10)

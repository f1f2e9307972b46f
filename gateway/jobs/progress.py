"""Progress of running tasks, announced to whoever watches on whichever gateway; nothing of it is kept."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from gateway.jetstream.connection import JetStream
from gateway.jobs.queue import TaskRef
from servicekit.errors import Unavailable


class Phase(StrEnum):
    """What a task waits for, or that it no longer waits; the names are those of Phase in jobs.proto."""

    WAITING_FOR_WORKER = "WAITING_FOR_WORKER"
    COLD_START = "COLD_START"
    ENCODING = "ENCODING"


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far one task is: its phase, frames made, frames to make (0: not known), frames a second."""

    phase: Phase
    frames_done: int = 0
    frames_total: int = 0
    fps: float = 0.0


class ProgressBus:
    """Topics "progress.<job>.<index>"."""

    def __init__(self, engine: JetStream) -> None:
        self._engine = engine

    async def publish(self, task: TaskRef, progress: TaskProgress) -> None:
        """Tell the watchers; that nobody can be told is no fault of the task."""
        with contextlib.suppress(Unavailable):
            await self._engine.publish(f"progress.{task.key}", json.dumps(asdict(progress)).encode())

    @contextlib.asynccontextmanager
    async def subscribe(self, job_id: str, told: Callable[[int, TaskProgress], None]) -> AsyncIterator[None]:
        """Call `told(index, progress)` for every task of the job while the block runs."""

        def heard(topic: str, data: bytes) -> None:
            told(TaskRef.parse(topic.removeprefix("progress.")).index, _progress(data))

        async with self._engine.subscribe(f"progress.{job_id}.*", heard):
            yield


def _progress(data: bytes) -> TaskProgress:
    fields = json.loads(data)
    return TaskProgress(**fields | {"phase": Phase(fields["phase"])})

"""Progress of running tasks, published to the subscribers of all gateways; nothing of it is stored."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum

from gateway.jetstream.connection import JetStream
from gateway.jobs.queue import TaskRef
from servicekit.codec import from_json, to_json
from servicekit.errors import Unavailable


class Phase(StrEnum):
    """The phase of a task that has not ended. The names are those of Phase in jobs.proto."""

    WAITING_FOR_WORKER = "WAITING_FOR_WORKER"
    COLD_START = "COLD_START"
    ENCODING = "ENCODING"


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Progress of one task: frames encoded, frames in all (0: unknown), frames per second, and why it waits ("" where
    that is not known, or it does not)."""

    phase: Phase
    frames_done: int = 0
    frames_total: int = 0
    fps: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class ProgressBus:
    """Publishes on topics "progress.<job>.<index>"."""

    jetstream: JetStream

    async def publish(self, task: TaskRef, progress: TaskProgress) -> None:
        """Send to the subscribers; a store that does not answer is no fault of the task."""
        with contextlib.suppress(Unavailable):
            await self.jetstream.publish(f"progress.{task.key}", to_json(progress))

    @contextlib.asynccontextmanager
    async def subscribe(self, job_id: str, listener: Callable[[int, TaskProgress], None]) -> AsyncIterator[None]:
        """Call `listener(index, progress)` for every task of the job while the block runs."""

        def received(topic: str, data: bytes) -> None:
            listener(TaskRef.parse(topic.removeprefix("progress.")).index, from_json(TaskProgress, data))

        async with self.jetstream.subscribe(f"progress.{job_id}.*", received):
            yield

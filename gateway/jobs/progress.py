"""Progress of running tasks, published to the subscribers of all gateways; the latest is held in memory alone."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.jetstream.connection import JetStream
from gateway.jobs.queue import TaskRef
from servicekit.codec import from_json, to_json
from servicekit.errors import Unavailable

PREFIX = "progress."


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


# Jobs of which the latest progress is held, and tasks of each: of those that run no more can be at work.
MAX_JOBS, MAX_TASKS = 5000, 2000


@dataclass(eq=False)
class LatestProgress:
    """The latest progress of tasks, as it came; of too many jobs those are forgotten that have told nothing for
    longest."""

    max_jobs: int = MAX_JOBS
    _of_jobs: dict[str, dict[int, bytes]] = field(default_factory=dict, init=False)

    def note(self, task: TaskRef, data: bytes) -> None:
        """Take in the progress of a task."""
        found = self._of_jobs.pop(task.job_id, {})
        self._of_jobs[task.job_id] = found
        if task.index in found or len(found) < MAX_TASKS:
            found[task.index] = data
        if len(self._of_jobs) > self.max_jobs:
            del self._of_jobs[next(iter(self._of_jobs))]

    def of(self, job_id: str) -> dict[int, TaskProgress]:
        """Return what is known of a job's tasks."""
        found: dict[int, TaskProgress] = {}
        for index, data in self._of_jobs.get(job_id, {}).items():
            with contextlib.suppress(ValueError):  # a gateway of a later version tells of what there is not here
                found[index] = from_json(TaskProgress, data)
        return found

    def job_ids(self) -> list[str]:
        """Return the jobs of which something is known."""
        return list(self._of_jobs)

    def forget(self, job_id: str) -> None:
        """Forget a job, which has ended."""
        self._of_jobs.pop(job_id, None)


@dataclass(frozen=True)
class ProgressBus:
    """Publishes on topics "progress.<job>.<index>"."""

    jetstream: JetStream
    kept: LatestProgress = field(default_factory=LatestProgress)

    def latest(self, job_id: str) -> dict[int, TaskProgress]:
        """Return the latest progress of a job's tasks, as far as `keeping` has heard of it."""
        return self.kept.of(job_id)

    def running(self) -> Iterator[TaskProgress]:
        """Yield the latest progress of all tasks of which something is held."""
        return (one for job_id in self.kept.job_ids() for one in self.kept.of(job_id).values())

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Hold the latest progress of all jobs while the block runs, whichever gateways they run at."""

        def received(topic: str, data: bytes) -> None:
            self.kept.note(_task(topic), data)

        async with self.jetstream.subscribe(f"{PREFIX}*.*", received):
            yield

    async def publish(self, task: TaskRef, progress: TaskProgress) -> None:
        """Send to the subscribers; a store that does not answer is no fault of the task."""
        with contextlib.suppress(Unavailable):
            await self.jetstream.publish(PREFIX + task.key, to_json(progress))

    @contextlib.asynccontextmanager
    async def subscribe(self, job_id: str, listener: Callable[[int, TaskProgress], None]) -> AsyncIterator[None]:
        """Call `listener(index, progress)` for every task of the job while the block runs."""

        def received(topic: str, data: bytes) -> None:
            listener(_task(topic).index, from_json(TaskProgress, data))

        async with self.jetstream.subscribe(f"{PREFIX}{job_id}.*", received):
            yield


def _task(topic: str) -> TaskRef:
    return TaskRef.parse(topic.removeprefix(PREFIX))

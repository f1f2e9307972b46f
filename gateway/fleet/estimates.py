"""Estimated durations of tasks and set-ups, learned from those that ended, and the expected cost of a job."""

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from gateway.fleet.instances.instance import HOUR_SECONDS
from gateway.fleet.speeds import TaskSample, TaskSpeeds
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from servicekit.codec import SPARSE
from servicekit.tasks import cancel_and_wait, log_and_continue, repeat

PRIOR_TASK_SECONDS = 20.0
# Encoders of which it is kept how slow they are, those that were seen last.
MAX_ENCODERS = 256
# What tasks teach is written together: no task waits for it, and none costs the store a write of its own.
WRITE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RunningMean:
    """An exponentially weighted mean in seconds.

    The prior counts as PRIOR_WEIGHT observations, and old ones fade as if there were the last MEMORY. An observation is
    clipped to OUTLIER times the mean, and to that part of it.
    """

    PRIOR_WEIGHT: ClassVar[float] = 2.0
    MEMORY: ClassVar[float] = 20.0
    OUTLIER: ClassVar[float] = 3.0

    seconds: float
    weight: float = PRIOR_WEIGHT

    def after(self, seconds: float) -> "RunningMean":
        """Return the mean after one more observation."""
        clipped = min(max(seconds, self.seconds / self.OUTLIER), self.seconds * self.OUTLIER)
        weight = min(self.weight + 1, self.MEMORY)
        return RunningMean(self.seconds + (clipped - self.seconds) / weight, weight)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Mean durations of tasks on rented encoders by operation, and of set-ups (from the request to the first task) by
    provider; the speeds of tasks on all encoders; and by the names of encoders by how much longer each takes than most
    do, the one that was seen last at the end."""

    tasks: Mapping[str, RunningMean] = field(default_factory=dict)
    setups: Mapping[str, RunningMean] = field(default_factory=dict)
    speeds: TaskSpeeds = field(default=TaskSpeeds(), metadata=SPARSE)
    slowness: Mapping[str, float] = field(default_factory=dict, metadata=SPARSE)

    def task_seconds(self, operation: str) -> float:
        """Return the expected seconds of a task of this operation on one slot."""
        return self._task(operation).seconds

    def setup_seconds(self, provider: str, prior_seconds: float) -> float:
        """Return the expected seconds of a set-up; `prior_seconds` before any was observed."""
        return self._setup(provider, prior_seconds).seconds

    def mean_task_seconds(self, waiting: Mapping[str, int]) -> float:
        """Return the expected mean seconds of tasks, given the number of each operation."""
        tasks = sum(waiting.values())
        if not tasks:
            return PRIOR_TASK_SECONDS
        return sum(self.task_seconds(operation) * count for operation, count in waiting.items()) / tasks

    def with_task(self, operation: str, seconds: float) -> "Estimates":
        """Return the estimates after a task that succeeded on a rented encoder."""
        return replace(self, tasks={**self.tasks, operation: self._task(operation).after(seconds)})

    def with_sample(self, operation: str, sample: TaskSample) -> "Estimates":
        """Return the estimates after a task that succeeded on any encoder."""
        return replace(self, speeds=self.speeds.after(operation, sample))

    def with_encoder(self, name: str, slowness: float) -> "Estimates":
        """Return the estimates after an encoder was seen to be so slow."""
        others = [one for one in self.slowness.items() if one[0] != name]
        return replace(self, slowness=dict([*others, (name, round(slowness, 3))][-MAX_ENCODERS:]))

    def with_setup(self, provider: str, seconds: float, prior_seconds: float) -> "Estimates":
        """Return the estimates after a set-up."""
        return replace(self, setups={**self.setups, provider: self._setup(provider, prior_seconds).after(seconds)})

    def job_usd(
        self, tasks: Mapping[str, int], usd_per_hour: float, *, slots: int = 1, overhead_seconds: float = 0.0
    ) -> float:
        """Return the expected cost of a job, of so many tasks by operation, on instances of this price and number of
        slots.

        `overhead_seconds` is the billed time without tasks that the job causes: set-up and idling of new instances.
        """
        working_seconds = sum(self.task_seconds(kind) * count for kind, count in tasks.items()) / slots
        return usd_per_hour * (working_seconds + overhead_seconds) / HOUR_SECONDS

    def _task(self, operation: str) -> RunningMean:
        return self.tasks.get(operation) or RunningMean(PRIOR_TASK_SECONDS)

    def _setup(self, provider: str, prior_seconds: float) -> RunningMean:
        return self.setups.get(provider) or RunningMean(prior_seconds)


class EstimateStore(Records[Estimates]):
    """Learns from what ends, for all gateways. A store that does not answer fails nothing: observations are lost."""

    def __init__(self, bucket: KeyValue) -> None:
        super().__init__(bucket, Estimates, "estimates", prefix="estimates")
        self._unwritten: list[Callable[[Estimates], Estimates]] = []
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read what was learned, and write what this gateway learns from then on."""
        await super().start()
        self._writer = asyncio.create_task(repeat("cannot store estimates", WRITE_SECONDS, self.write))

    async def stop(self) -> None:
        """End; what was not written yet is lost."""
        if self._writer is not None:
            await cancel_and_wait(self._writer)
        await super().stop()

    @property
    def estimates(self) -> Estimates:
        """The estimates as they were last seen, with what was learned here since."""
        return _applied(self._unwritten, self.cached.get("", Estimates()))

    def task_ended(self, operation: str, seconds: float, frames: int = 0, *, is_rented: bool) -> None:
        """Learn from a task that was completed after that long; `frames` are those that it made."""
        sample = TaskSample(round(max(seconds, 0.001), 3), max(frames, 0))
        self._unwritten.append(lambda known: known.with_sample(operation, sample))
        if is_rented:
            self._unwritten.append(lambda known: known.with_task(operation, seconds))

    def encoder_seen(self, name: str, slowness: float) -> None:
        """Learn by how much longer an encoder takes than most do."""
        self._unwritten.append(lambda known: known.with_encoder(name, slowness))

    def slowness(self, name: str) -> float | None:
        """Return by how much longer an encoder takes than most do, as a gateway wrote it last; None where none did."""
        known = self.cached.get("")
        return known.slowness.get(name) if known is not None else None

    async def setup_ended(self, provider: str, seconds: float, prior_seconds: float) -> None:
        """Learn from an instance that became ready that long after it was requested."""
        self._unwritten.append(lambda known: known.with_setup(provider, seconds, prior_seconds))
        await self.write()

    async def write(self) -> None:
        """Write what was learned, if anything was."""
        async with self._writing:
            steps = tuple(self._unwritten)
            if not steps:
                return
            try:
                with log_and_continue("cannot store estimates"):
                    await self.update("", functools.partial(_applied, steps), default=Estimates())
            finally:
                del self._unwritten[: len(steps)]


def _applied(steps: Iterable[Callable[[Estimates], Estimates]], known: Estimates) -> Estimates:
    return functools.reduce(lambda estimates, step: step(estimates), steps, known)

"""Estimated durations of tasks and set-ups, learned from those that ended, and the expected cost of a job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from gateway.fleet.instances.instance import HOUR_SECONDS
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from servicekit.tasks import log_and_continue

PRIOR_TASK_SECONDS = 20.0


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
    """Mean durations of tasks by operation, and of set-ups (from the request to the first task) by provider."""

    tasks: Mapping[str, RunningMean] = field(default_factory=dict)
    setups: Mapping[str, RunningMean] = field(default_factory=dict)

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
        """Return the estimates after a task that succeeded."""
        return replace(self, tasks={**self.tasks, operation: self._task(operation).after(seconds)})

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
    """Learns from what ends. A store that does not answer fails nothing: the observation is lost."""

    def __init__(self, bucket: KeyValue) -> None:
        super().__init__(bucket, Estimates, "estimates", prefix="estimates")

    @property
    def estimates(self) -> Estimates:
        """The estimates as they were last seen."""
        return self.cached.get("", Estimates())

    async def task_ended(self, operation: str, seconds: float) -> None:
        """Learn from a task that was completed after that long."""
        await self._learn(lambda known: known.with_task(operation, seconds))

    async def setup_ended(self, provider: str, seconds: float, prior_seconds: float) -> None:
        """Learn from an instance that became ready that long after it was requested."""
        await self._learn(lambda known: known.with_setup(provider, seconds, prior_seconds))

    async def _learn(self, step: Callable[[Estimates], Estimates]) -> None:
        with log_and_continue("cannot store an estimate"):
            await self.update("", step, default=Estimates())

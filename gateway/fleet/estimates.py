"""How long tasks and set-ups take, learned from those that ended, and what a job will cost. Pure: no I/O, no clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import structlog

from gateway.fleet.instances.instance import HOUR_SECONDS
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from servicekit.errors import ServiceError

PRIOR_TASK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class RunningMean:
    """A running mean in seconds. What was thought before the first observation counts as PRIOR_WEIGHT of them; old
    ones fade, as if there were the last MEMORY; one counts as OUTLIER times the mean at most, and as that part of it at
    least."""

    PRIOR_WEIGHT: ClassVar[float] = 2.0
    MEMORY: ClassVar[float] = 20.0
    OUTLIER: ClassVar[float] = 3.0

    seconds: float
    weight: float = PRIOR_WEIGHT

    def after(self, seconds: float) -> "RunningMean":
        """The mean with one observation more."""
        seen = min(max(seconds, self.seconds / self.OUTLIER), self.seconds * self.OUTLIER)
        weight = min(self.weight + 1, self.MEMORY)
        return RunningMean(self.seconds + (seen - self.seconds) / weight, weight)


@dataclass(frozen=True, slots=True)
class Estimates:
    """What is known: of tasks by operation, of set-ups (from the order to the first task) by provider."""

    tasks: Mapping[str, RunningMean] = field(default_factory=dict)
    setups: Mapping[str, RunningMean] = field(default_factory=dict)

    def task_seconds(self, operation: str) -> float:
        """Seconds that a task of this operation takes on one slot."""
        return self._task(operation).seconds

    def setup_seconds(self, provider: str, prior_seconds: float) -> float:
        """Seconds from the order of a machine to its first task; `prior_seconds` before any was seen."""
        return self._setup(provider, prior_seconds).seconds

    def mean_task_seconds(self, waiting: Mapping[str, int]) -> float:
        """Seconds that an average one of these tasks takes, given how many there are of each operation."""
        tasks = sum(waiting.values())
        if not tasks:
            return PRIOR_TASK_SECONDS
        return sum(self.task_seconds(operation) * count for operation, count in waiting.items()) / tasks

    def with_task(self, operation: str, seconds: float) -> "Estimates":
        """A task has ended well after that long."""
        return replace(self, tasks={**self.tasks, operation: self._task(operation).after(seconds)})

    def with_setup(self, provider: str, seconds: float, prior_seconds: float) -> "Estimates":
        """A machine has answered that long after it was ordered."""
        return replace(self, setups={**self.setups, provider: self._setup(provider, prior_seconds).after(seconds)})

    def job_usd(
        self,
        operation: str,
        tasks: int,
        usd_per_hour: float,
        *,
        slots: int = 1,
        machines: int = 0,
        setup_seconds: float = 0.0,
        idle_seconds: float = 0.0,
    ) -> float:
        """Dollars that a job is expected to cost on machines of that price, with so many slots each. `machines` is how
        many of them have to be set up for it in `setup_seconds`, and will idle so long after it: 0 where some are there
        anyway."""
        working_seconds = tasks * self.task_seconds(operation) / slots
        shared_seconds = machines * (setup_seconds + idle_seconds)
        return usd_per_hour * (working_seconds + shared_seconds) / HOUR_SECONDS

    def _task(self, operation: str) -> RunningMean:
        return self.tasks.get(operation) or RunningMean(PRIOR_TASK_SECONDS)

    def _setup(self, provider: str, prior_seconds: float) -> RunningMean:
        return self.setups.get(provider) or RunningMean(prior_seconds)


log = structlog.get_logger("fleet")

KEY = "estimates"


class EstimateStore:
    """Learns from what ends. A store that does not answer fails nothing: the observation is lost."""

    def __init__(self, bucket: KeyValue) -> None:
        self._records = Records(bucket, Estimates, "estimates", prefix=KEY)

    @property
    def estimates(self) -> Estimates:
        """The estimates as they were last seen."""
        return self._records.cached.get("", Estimates())

    async def start(self) -> None:
        """Read what is known, and follow it from then on."""
        await self._records.start()

    async def stop(self) -> None:
        """End the watch."""
        await self._records.stop()

    async def task_ended(self, operation: str, seconds: float) -> None:
        """Learn from a task that was completed after that long."""
        await self._learn(lambda known: known.with_task(operation, seconds))

    async def setup_ended(self, provider: str, seconds: float, prior_seconds: float) -> None:
        """Learn from an instance that became ready that long after it was requested."""
        await self._learn(lambda known: known.with_setup(provider, seconds, prior_seconds))

    async def _learn(self, step: Callable[[Estimates], Estimates]) -> None:
        try:
            await self._records.update("", step, default=Estimates())
        except ServiceError as error:
            log.warning("cannot store an estimate", error=error.message)

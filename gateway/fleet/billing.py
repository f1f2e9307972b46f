"""Costs of jobs and days: pure sums over instances.

The cost of an instance, set-up and idle time included, is shared among the tasks that ran on it in proportion to their
run time. So the costs of all jobs add up to the amount billed, except for instances that never ran a task. A job's
share changes until its instances are terminated.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gateway.fleet.instances.instance import Instance, InstanceState
from servicekit.codec import STORED

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class UsageInterval:
    """Time that a task ran on an instance; `ended_at` is None while it runs. Unix seconds."""

    instance: str = field(metadata={STORED: "machine"})
    started_at: float
    ended_at: float | None = None

    def seconds(self, until: float) -> float:
        """Return its length in seconds, cut off at `until`."""
        return max(0.0, min(self.ended_at or until, until) - self.started_at)


def ended_usage(usage: Iterable[UsageInterval], now: float) -> tuple[UsageInterval, ...]:
    """Return run time without an open interval."""
    return tuple(replace(one, ended_at=now) if one.ended_at is None else one for one in usage)


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars and run time in seconds; `is_final` once no instance can add to it."""

    usd: float
    seconds: float
    is_final: bool


@dataclass(frozen=True, slots=True)
class DailyCost:
    """Costs of one day (UTC) at one provider. Tasks and busy seconds count on the day their instance was created."""

    date: str
    provider: str
    usd: float
    instances: int
    tasks: int
    busy_seconds: float
    billed_seconds: float


def merge(intervals: Sequence[UsageInterval]) -> tuple[UsageInterval, ...]:
    """Return the intervals with the ended ones of each instance merged into one of their total length, which bounds the
    size of a record."""
    ended: dict[str, UsageInterval] = {}
    for interval in intervals:
        if interval.ended_at is not None:
            before = ended.get(interval.instance)
            seconds = before.seconds(interval.ended_at) if before else 0.0
            ended[interval.instance] = replace(interval, started_at=interval.started_at - seconds)
    return (*ended.values(), *(interval for interval in intervals if interval.ended_at is None))


def cost_of(
    intervals: Sequence[UsageInterval], find: Callable[[str], Instance | None], now: float, idle_seconds: float = 0.0
) -> Cost | None:
    """Return the total cost of the intervals; None if there are none.

    `idle_seconds` is the time that running instances will idle before they terminate, counted as if it were over.
    """
    if not intervals:
        return None
    usd, seconds, is_final = 0.0, 0.0, True
    for interval in intervals:
        instance = find(interval.instance)
        if instance is None:  # its record has been pruned: the share is unknown
            continue
        is_final = is_final and instance.state is InstanceState.TERMINATED
        usd += _share_usd(interval, instance, now, idle_seconds)
        seconds += interval.seconds(instance.ended_at or now)
    return Cost(usd, seconds, is_final)


def _share_usd(interval: UsageInterval, instance: Instance, now: float, idle_seconds: float) -> float:
    seconds = interval.seconds(instance.ended_at or now)
    # The job's record may have the end of the run before the instance's record has it.
    worked_seconds = max(instance.worked_seconds(now), seconds)
    usd = instance.usd(now if instance.ended_at else now + idle_seconds)
    return usd * seconds / worked_seconds if worked_seconds else 0.0


def midnight(now: float) -> float:
    """Return the start of the day of `now`, UTC."""
    return datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def spent_today(instances: Iterable[Instance], now: float) -> float:
    """Return the US dollars spent since midnight, UTC."""
    return sum(instance.usd_between(midnight(now), now, now) for instance in instances)


def by_day(instances: Sequence[Instance], days: int, now: float) -> list[DailyCost]:
    """Return the costs of the last `days` days by provider, the newest day first, without those of no billed time."""
    starts = [midnight(now) - back * DAY_SECONDS for back in range(days)]
    providers = sorted({instance.provider for instance in instances})
    costs = [_daily_cost(instances, provider, start, now) for start in starts for provider in providers]
    return [cost for cost in costs if cost.billed_seconds]


def _daily_cost(instances: Sequence[Instance], provider: str, start: float, now: float) -> DailyCost:
    end = start + DAY_SECONDS
    rented = [instance for instance in instances if instance.provider == provider]
    created = [instance for instance in rented if start <= instance.created_at < end]
    return DailyCost(
        date=datetime.fromtimestamp(start, UTC).date().isoformat(),
        provider=provider,
        usd=sum(instance.usd_between(start, end, now) for instance in rented),
        instances=len(created),
        tasks=sum(instance.tasks for instance in created),
        busy_seconds=sum(instance.worked_seconds(now) for instance in created),
        billed_seconds=sum(instance.billed_seconds(start, end, now) for instance in rented),
    )

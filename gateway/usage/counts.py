"""What is counted of jobs, by day, tenant and operation. Pure: no I/O, no clock; times are Unix seconds."""

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple

from gateway.fleet.billing import Cost
from gateway.jobs.model import Job, Status
from servicekit.codec import SPARSE

# The record of a day remembers for so long which jobs are in it.
REMEMBERED_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class UsageCounts:
    """Jobs that ended, those of them that failed and were cancelled; seconds of their results, seconds that encoders
    worked, US dollars, and bytes of the results."""

    jobs: int = field(default=0, metadata=SPARSE)
    failed_jobs: int = field(default=0, metadata=SPARSE)
    cancelled_jobs: int = field(default=0, metadata=SPARSE)
    output_seconds: float = field(default=0.0, metadata=SPARSE)
    encoder_seconds: float = field(default=0.0, metadata=SPARSE)
    cost_usd: float = field(default=0.0, metadata=SPARSE)
    result_bytes: int = field(default=0, metadata=SPARSE)

    def __add__(self, other: "UsageCounts") -> "UsageCounts":
        return UsageCounts(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))


NO_USAGE = UsageCounts()


class UsageEntry(NamedTuple):
    """What is added for a job: under a key by which it is added once, and with its operation."""

    key: str
    operation: str
    counts: UsageCounts


@dataclass(frozen=True, slots=True)
class DayUsage:
    """What a tenant had done on a day, by operation; and when the jobs were added that were added lately."""

    by_operation: dict[str, UsageCounts] = field(default_factory=dict)
    added: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> UsageCounts:
        """The sum of all operations."""
        return sum(self.by_operation.values(), NO_USAGE)


def day_of(seconds: float) -> date:
    """Return the day (UTC) of a time."""
    return datetime.fromtimestamp(seconds, UTC).date()


def entry_of(job: Job, cost: Cost) -> UsageEntry:
    """Return what is to be added for an ended job: all of it, or what it has cost since it was added."""
    if job.counted is not None:
        more = UsageCounts(cost_usd=cost.usd - job.counted.usd)
        return UsageEntry(f"{job.id} cost", job.operation, more)
    results = [job.tasks[index] for index in job.kept if job.tasks[index].status is Status.COMPLETED]
    counts = UsageCounts(
        jobs=1,
        failed_jobs=int(job.status in (Status.FAILED, Status.TIMED_OUT)),
        cancelled_jobs=int(job.status is Status.CANCELLED),
        output_seconds=sum(task.duration_seconds for task in results),
        encoder_seconds=sum(task.worked_seconds for task in job.tasks),
        cost_usd=cost.usd,
        result_bytes=sum(task.size_bytes for task in results),
    )
    return UsageEntry(job.id, job.operation, counts)


def added(day: DayUsage, entries: Iterable[UsageEntry], now: float, is_marked: Callable[[str], bool]) -> DayUsage:
    """Add entries that are not in it yet. A job is remembered for a while, and until its own record has the mark that
    it is added."""
    fresh = {entry.key: entry for entry in entries if entry.key not in day.added}
    if not fresh:
        return day
    by_operation = dict(day.by_operation)
    for entry in fresh.values():
        by_operation[entry.operation] = by_operation.get(entry.operation, NO_USAGE) + entry.counts
    known = {
        key: at
        for key, at in day.added.items()
        if now - at < REMEMBERED_SECONDS or not is_marked(key.removesuffix(" cost"))
    }
    return DayUsage(by_operation, known | dict.fromkeys(fresh, now))

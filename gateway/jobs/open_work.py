"""What encoders have worked for jobs that are not counted as usage yet, by account (a tenant, or a key of one). Pure;
times are Unix seconds."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gateway.fleet.billing import DAY_SECONDS, UsageInterval
from gateway.jobs.model import Job, Status


class JobWork(NamedTuple):
    """Seconds of work that is over, by the day (from the epoch, UTC) on which it began; when tasks began that are at
    work; run time on rented instances."""

    seconds_by_day: Mapping[int, float]
    running_since: tuple[float, ...]
    usage: tuple[UsageInterval, ...]


def work_of(job: Job) -> JobWork | None:
    """Return the work for a job; None where there is none yet."""
    begun = [(task, task.started_at) for task in job.tasks if task.started_at is not None]
    if not begun:
        return None
    seconds = defaultdict[int, float](float)
    for task, started_at in begun:
        seconds[int(started_at // DAY_SECONDS)] += task.worked_seconds
    running = tuple(started_at for task, started_at in begun if task.status is Status.IN_PROGRESS)
    return JobWork(seconds, running, job.usage)


@dataclass(eq=False)
class OpenWork:
    """The work for jobs that are not counted yet. A job may last for days: each has its own share."""

    _jobs: defaultdict[str, dict[str, JobWork]] = field(default_factory=lambda: defaultdict(dict), init=False)

    def note(self, job_id: str, accounts: Iterable[str], job: Job | None) -> None:
        """Take in a new state of a job of these accounts, or that its record is gone, or counted as usage (None)."""
        work = work_of(job) if job is not None else None
        for account in accounts:
            if work is not None:
                self._jobs[account][job_id] = work
            elif (known := self._jobs.get(account)) is not None:
                known.pop(job_id, None)
                if not known:
                    del self._jobs[account]

    def seconds(self, account: str, midnight: float, now: float) -> float:
        """Return the seconds that encoders have worked for an account since midnight."""
        day, works = int(midnight // DAY_SECONDS), self._jobs.get(account, {}).values()
        ended = sum(work.seconds_by_day.get(day, 0.0) for work in works)
        return ended + sum(max(0.0, now - max(since, midnight)) for work in works for since in work.running_since)

    def usage(self, account: str, midnight: float) -> tuple[UsageInterval, ...]:
        """Return the run time on rented instances since midnight."""
        found = (interval for work in self._jobs.get(account, {}).values() for interval in work.usage)
        return tuple(
            replace(interval, started_at=max(interval.started_at, midnight))
            for interval in found
            if interval.ended_at is None or interval.ended_at > midnight
        )

"""How the jobs of the last 24 hours fared: how many ended and how, and how long they waited. Times are Unix seconds."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from gateway.jobs.model import Job, Status

WINDOW_SECONDS = 24 * 3600.0
COUNTING_SHARE = 0.01
# So many are known before it is looked which of them are older than the window; then twice as many as were left.
LEAST_LOOKED_AT = 1000
FAILED = (Status.FAILED, Status.TIMED_OUT)


class JobTimes(NamedTuple):
    """When a job was accepted, began and ended (0: it did not), and where it stands."""

    created_at: float
    started_at: float
    ended_at: float
    status: Status

    @classmethod
    def of(cls, job: Job) -> "JobTimes":
        """Return those of a job."""
        return cls(job.created_at, job.started_at or 0.0, job.ended_at or 0.0, job.status)

    def is_within(self, since: float) -> bool:
        """Return True for a job that began or ended since then, or has begun and goes on."""
        return max(self.started_at, self.ended_at) > since or (self.started_at > 0 and not self.ended_at)


@dataclass(frozen=True)
class JobFigures:
    """Figures of a time: jobs that ended, failed and were cancelled, and the waits of those that began, sorted."""

    ended: int
    failed: int
    cancelled: int
    waits: Sequence[float]

    def wait_seconds(self, share: float) -> float | None:
        """Return the seconds that a share of the jobs waited at most; None where none began."""
        return self.waits[max(ceil(share * len(self.waits)), 1) - 1] if self.waits else None


@dataclass(eq=False)
class RecentJobs:
    """The jobs that began or ended of late. What is older than the window is forgotten, a while later where nobody asks
    for figures."""

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _known: dict[str, JobTimes] = field(default_factory=dict, init=False)
    _figures: JobFigures | None = field(default=None, init=False)
    _good_until: float = field(default=0.0, init=False)
    _looked_at: int = field(default=LEAST_LOOKED_AT, init=False)

    def note(self, job_id: str, job: Job | None) -> None:
        """Take in a new state of a job, or that its record is gone (None)."""
        times = None if job is None else JobTimes.of(job)
        since = self.now() - WINDOW_SECONDS
        if times is None or not times.is_within(since):
            self._known.pop(job_id, None)
            return
        self._known[job_id] = times
        if len(self._known) > self._looked_at:
            self._forget(since)
            self._looked_at = max(2 * len(self._known), LEAST_LOOKED_AT)

    def figures(self, now: float) -> JobFigures:
        """Return the figures of the window: those of a moment ago, so that counting takes a hundredth of the time,
        however many ask and however many jobs there are."""
        begun = self.clock()
        if self._figures is None or begun >= self._good_until:
            self._figures = self._counted(now)
            ended = self.clock()
            self._good_until = ended + (ended - begun) / COUNTING_SHARE
        return self._figures

    def _counted(self, now: float) -> JobFigures:
        since = now - WINDOW_SECONDS
        self._forget(since)
        ended = Counter(one.status for one in self._known.values() if one.ended_at > since)
        waits = (max(one.started_at - one.created_at, 0.0) for one in self._known.values() if one.started_at > since)
        return JobFigures(
            ended.total(), sum(ended[status] for status in FAILED), ended[Status.CANCELLED], sorted(waits)
        )

    def _forget(self, since: float) -> None:
        self._known = {key: one for key, one in self._known.items() if one.is_within(since)}

"""What is known of every job without reading its record: enough to list, to tell places, to wake watchers."""

import asyncio
import contextlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gateway.jobs import model
from gateway.jobs.model import Job, Status


class Known(NamedTuple):
    """Where a job stood at a revision of its record, how many of its tasks waited and ran, and its operation."""

    status: Status
    revision: int
    waiting: int
    running: int
    operation: str


NOTHING = Known(Status.CANCELLED, 0, 0, 0, "")


class Index:
    """Ids sort by time of submission, so order of ids is order of the queue."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._ids: list[str] = []
        self._waiting: list[str] = []
        # Jobs of which a task waits, those among them that have begun.
        self._wanting: list[str] = []
        self.tasks_waiting = 0
        self.tasks_running = 0
        self._listeners: dict[asyncio.Event, tuple[str, bool]] = {}
        self._on_end: list[Callable[[str], None]] = []

    def note(self, job: Job, revision: int) -> None:
        """Take in what a record says; an older revision than the one known is passed over."""
        before = self._known.get(job.id)
        if before is not None and before.revision >= revision:
            return
        now = Known(job.status, revision, job.waiting, job.running, job.operation)
        self._known[job.id] = now
        _set(self._ids, job.id, True)
        self._count(job.id, before or NOTHING, now)
        moved = before is None or before.status is not now.status
        if moved and now.status.ended:
            for called in self._on_end:
                called(job.id)
        self._tell(job.id, moved)

    def drop(self, job_id: str) -> None:
        """The record is gone."""
        before = self._known.pop(job_id, None)
        if before is not None:
            _set(self._ids, job_id, False)
            self._count(job_id, before, NOTHING)
            self._tell(job_id, True)

    def ended_before(self, first: str) -> list[str]:
        """Ids of jobs that have ended and come before the id `first`."""
        return [i for i in self._ids[: bisect_left(self._ids, first)] if self._known[i].status.ended]

    def on_end(self, called: Callable[[str], None]) -> None:
        """Call `called(id)` when a job is seen to have ended, on whichever gateway."""
        self._on_end.append(called)

    def older(self, before: str, status: Status | None) -> list[str]:
        """Ids before the id `before` ("" for all), the newest first, of one status or of any."""
        end = bisect_left(self._ids, before) if before else len(self._ids)
        return [i for i in reversed(self._ids[:end]) if status is None or self._known[i].status is status]

    def unfinished(self) -> list[str]:
        """Ids of jobs that have not ended, the oldest first."""
        return [job_id for job_id in self._ids if not self._known[job_id].status.ended]

    def place(self, job_id: str) -> int:
        """Place of a waiting job in the queue, from 1."""
        return bisect_left(self._waiting, job_id) + 1

    def oldest_wait_seconds(self, now: float) -> float:
        """Seconds since the oldest job was handed in of which a task waits; 0 when none does."""
        return max(0.0, now - model.id_time(self._wanting[0])) if self._wanting else 0.0

    def operations_waiting(self) -> dict[str, int]:
        """Waiting tasks by operation."""
        counts: Counter[str] = Counter()
        for job_id in self._wanting:
            counts[self._known[job_id].operation] += self._known[job_id].waiting
        return dict(counts)

    @contextlib.contextmanager
    def listening(self, job_id: str, *, queue: bool = False) -> Iterator[asyncio.Event]:
        """An event that is set when the job changes, and with `queue` when any job moves, while the block runs."""
        event = asyncio.Event()
        self._listeners[event] = (job_id, queue)
        try:
            yield event
        finally:
            del self._listeners[event]

    def _count(self, job_id: str, before: Known, now: Known) -> None:
        self.tasks_waiting += now.waiting - before.waiting
        self.tasks_running += now.running - before.running
        _set(self._waiting, job_id, now.status is Status.IN_QUEUE)
        _set(self._wanting, job_id, now.waiting > 0)

    def _tell(self, job_id: str, moved: bool) -> None:
        for event, (wanted, queue) in self._listeners.items():
            if wanted == job_id or (moved and queue):
                event.set()


def _set(ids: list[str], job_id: str, wanted: bool) -> None:
    """Put the id in its place, or take it out."""
    at = bisect_left(ids, job_id)
    there = at < len(ids) and ids[at] == job_id
    if wanted and not there:
        ids.insert(at, job_id)
    elif there and not wanted:
        del ids[at]

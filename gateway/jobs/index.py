"""What is known of every job without reading its record: enough to list, to tell places, to wake watchers."""

import asyncio
import contextlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gateway.jobs.model import Status


class Known(NamedTuple):
    """Where a job stood at a revision of its record."""

    status: Status
    revision: int


class Index:
    """Ids sort by time of submission, so order of ids is order of the queue."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._ids: list[str] = []
        self._waiting: list[str] = []
        self._listeners: dict[asyncio.Event, tuple[str, bool]] = {}
        self._on_end: list[Callable[[str], None]] = []

    def note(self, job_id: str, status: Status, revision: int) -> None:
        """Take in what a record says; an older revision than the one known is passed over."""
        before = self._known.get(job_id)
        if before is not None and before.revision >= revision:
            return
        self._known[job_id] = Known(status, revision)
        if before is None:
            insort(self._ids, job_id)
        self._set_waiting(job_id, status is Status.IN_QUEUE)
        moved = before is None or before.status is not status
        if moved and status.ended:
            for called in self._on_end:
                called(job_id)
        for event, (wanted, queue) in self._listeners.items():
            if wanted == job_id or (moved and queue):
                event.set()

    def drop(self, job_id: str) -> None:
        """The record is gone."""
        if self._known.pop(job_id, None) is not None:
            _remove(self._ids, job_id)
            self._set_waiting(job_id, False)

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

    @contextlib.contextmanager
    def listening(self, job_id: str, *, queue: bool = False) -> Iterator[asyncio.Event]:
        """An event that is set when the job changes, and with `queue` when any job moves, while the block runs."""
        event = asyncio.Event()
        self._listeners[event] = (job_id, queue)
        try:
            yield event
        finally:
            del self._listeners[event]

    def _set_waiting(self, job_id: str, waiting: bool) -> None:
        at = bisect_left(self._waiting, job_id)
        there = at < len(self._waiting) and self._waiting[at] == job_id
        if waiting and not there:
            self._waiting.insert(at, job_id)
        elif there and not waiting:
            del self._waiting[at]


def _remove(ids: list[str], job_id: str) -> None:
    at = bisect_left(ids, job_id)
    if at < len(ids) and ids[at] == job_id:
        del ids[at]

"""Job records: one entry a job, changed by compare-and-set, with an index of all of them kept up by a watch."""

import asyncio
import base64
import contextlib
import json
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import structlog

from gateway.fleet.billing import UsageInterval
from gateway.jetstream.codec import drop_unknown_fields
from gateway.jetstream.keyvalue import KeyValue, Watch
from gateway.jobs import model
from gateway.jobs.model import Failure, Job, ResultFile, ResultWarning, Status, Task
from gateway.jobs.retry import RETRY_POLICY, RetryPolicy
from servicekit.errors import Aborted, Internal, InvalidArgument, NotFound

# What from_json raises for a record that it cannot read.
UNREADABLE = (ValueError, KeyError, TypeError)


def encode_job(job: Job) -> bytes:
    """The record of a job as it is stored."""
    record = asdict(job) | {"request": base64.b64encode(job.request).decode()}
    return json.dumps(record, separators=(",", ":")).encode()


def decode_job(data: bytes) -> Job:
    """The job of a stored record. Raises UNREADABLE."""
    record = drop_unknown_fields(Job, json.loads(data))
    tasks = tuple(_task(entry) for entry in record["tasks"])
    return Job(**record | {"tasks": tasks, "request": base64.b64decode(record["request"])})


def _task(entry: dict[str, Any]) -> Task:
    failure = Failure(**drop_unknown_fields(Failure, entry["failure"])) if entry["failure"] else None
    # Records of before there were warnings have none.
    warnings = tuple(
        ResultWarning(**drop_unknown_fields(ResultWarning, warning)) for warning in entry.get("warnings", ())
    )
    spells = tuple(UsageInterval(**drop_unknown_fields(UsageInterval, spell)) for spell in entry.get("spells", ()))
    files = tuple(ResultFile(**drop_unknown_fields(ResultFile, file)) for file in entry.get("files", ()))
    status = Status(entry["status"])
    parts = {"failure": failure, "status": status, "warnings": warnings, "spells": spells, "files": files}
    return Task(**drop_unknown_fields(Task, entry) | parts)


class IndexEntry(NamedTuple):
    """Where a job stood at a revision of its record, how many of its tasks waited and ran, and its operation."""

    status: Status
    revision: int
    waiting: int
    running: int
    operation: str


NOTHING = IndexEntry(Status.CANCELLED, 0, 0, 0, "")


class JobIndex:
    """Ids sort by time of submission, so order of ids is order of the queue."""

    def __init__(self) -> None:
        self._known: dict[str, IndexEntry] = {}
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
        now = IndexEntry(job.status, revision, job.waiting, job.running, job.operation)
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

    def _count(self, job_id: str, before: IndexEntry, now: IndexEntry) -> None:
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


log = structlog.get_logger("jobs")

PAUSE_SECONDS = 0.005
MAX_PAUSE_SECONDS = 0.1
# What a task's result, or the text of its failure, may add to a record.
GROWTH_BYTES = 1024


class Unreadable(Internal):
    """A record that this version cannot read: a later one wrote it."""


class JobStore:
    """The records. Errors: NotFound (no such job), Unreadable, Unavailable (the store does not answer),
    Aborted (a change lost against others over and over)."""

    def __init__(self, records: KeyValue, retention_seconds: float, patience: RetryPolicy = RETRY_POLICY) -> None:
        """`retention_seconds`: how long the record of a job is kept after its end."""
        self._records = records
        self._retention_seconds = retention_seconds
        self._patience = patience
        self._watching = Watch(records, self._noticed)
        self.index = JobIndex()

    async def start(self) -> None:
        """Read what there is, and keep the index up from then on."""
        await self._watching.start()

    async def stop(self) -> None:
        """End the watch."""
        await self._watching.stop()

    async def create(self, job: Job) -> None:
        """Write a new job; on return it is on disk. Raises InvalidArgument for one that is too large."""
        written = encode_job(job)
        if len(written) + GROWTH_BYTES * len(job.tasks) > self._records.max_value_bytes:
            raise InvalidArgument("The request is too large to be kept as one job; send several.", reason="TOO_LARGE")
        revision = await self._records.create(job.id, written)
        self.index.note(job, revision)

    async def get(self, job_id: str) -> Job:
        """Read a job."""
        return (await self._read(job_id))[0]

    async def change(self, job_id: str, step: Callable[[Job], Job]) -> Job:
        """Apply a pure step to the job as it is now, again if somebody else was faster; the job that came out."""
        for tries in range(self._patience.change_tries):
            job, revision = await self._read(job_id)
            changed = step(job)
            if changed == job:
                return job
            try:
                revision = await self._records.update(job_id, encode_job(changed), revision)
            except Aborted:
                # Many at once would take each other's chance over and over; the first retry is at once.
                await asyncio.sleep(random.uniform(0, min(tries * PAUSE_SECONDS, MAX_PAUSE_SECONDS)))
                continue
            self.index.note(changed, revision)
            return changed
        raise Aborted(f"Job {job_id} is changing too fast; try again.")

    async def page(self, status: Status | None, size: int, before: str) -> tuple[list[Job], str]:
        """Jobs before the id `before` ("" for all), the newest first, and the id to go on from ("" at the end)."""
        jobs: list[Job] = []
        for job_id in self.index.older(before, status):
            if len(jobs) == size:
                return jobs, jobs[-1].id
            with contextlib.suppress(NotFound, Unreadable):
                jobs.append(await self.get(job_id))
        return jobs, ""

    async def prune(self, now: float) -> None:
        """Delete the records of jobs that ended longer ago than the retention."""
        oldest = now - self._retention_seconds
        for job_id in self.index.ended_before(model.first_id(oldest)):
            with contextlib.suppress(NotFound, Unreadable):
                ended_at = (await self.get(job_id)).ended_at
                if ended_at is not None and ended_at < oldest:
                    await self._records.delete(job_id)
                    self.index.drop(job_id)

    async def _read(self, job_id: str) -> tuple[Job, int]:
        # Ids come from callers; what is no id may be no valid key either.
        entry = await self._records.get(job_id) if model.ID.fullmatch(job_id) else None
        if entry is None:
            self.index.drop(job_id)
            raise NotFound("Job ID does not exist", reason="JOB_NOT_FOUND")
        try:
            return decode_job(entry.value), entry.revision
        except UNREADABLE as error:
            text = f"This version cannot read the record of job {job_id}; ask a gateway of a later one."
            raise Unreadable(text, reason="JOB_UNREADABLE") from error

    def _noticed(self, job_id: str, value: bytes | None, revision: int) -> None:
        if value is None:
            self.index.drop(job_id)
            return
        try:
            self.index.note(decode_job(value), revision)
        except UNREADABLE:
            log.exception("a job's record cannot be read; it is left alone", job=job_id)

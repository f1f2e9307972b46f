"""Job records: one entry a job, changed by compare-and-set, with an index of all of them kept up by a watch."""

import asyncio
import contextlib
import random
from collections.abc import Callable

import structlog

from gateway.engine.keyvalue import KeyValue
from gateway.engine.watching import Watching
from gateway.jobs import model, record
from gateway.jobs.index import Index
from gateway.jobs.model import Job, Status
from gateway.jobs.patience import PATIENCE, Patience
from rpc.errors import Aborted, Internal, InvalidArgument, NotFound

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

    def __init__(self, records: KeyValue, retention_seconds: float, patience: Patience = PATIENCE) -> None:
        """`retention_seconds`: how long the record of a job is kept after its end."""
        self._records = records
        self._retention_seconds = retention_seconds
        self._patience = patience
        self._watching = Watching(records, self._noticed)
        self.index = Index()

    async def start(self) -> None:
        """Read what there is, and keep the index up from then on."""
        await self._watching.start()

    async def stop(self) -> None:
        """End the watch."""
        await self._watching.stop()

    async def create(self, job: Job) -> None:
        """Write a new job; on return it is on disk. Raises InvalidArgument for one that is too large."""
        written = record.to_json(job)
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
                revision = await self._records.update(job_id, record.to_json(changed), revision)
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
            return record.from_json(entry.value), entry.revision
        except record.UNREADABLE as error:
            text = f"This version cannot read the record of job {job_id}; ask a gateway of a later one."
            raise Unreadable(text, reason="JOB_UNREADABLE") from error

    def _noticed(self, job_id: str, value: bytes | None, revision: int) -> None:
        if value is None:
            self.index.drop(job_id)
            return
        try:
            self.index.note(record.from_json(value), revision)
        except record.UNREADABLE:
            log.exception("a job's record cannot be read; it is left alone", job=job_id)

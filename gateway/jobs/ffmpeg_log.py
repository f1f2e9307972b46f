"""What FFmpeg said last in attempts at the tasks of a job: a record of its own, of those jobs alone in which it said
something."""

import time
from dataclasses import dataclass, field

from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.jobs.model import Job
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from servicekit.codec import SPARSE
from servicekit.tasks import log_and_continue

PREFIX_OF_RECORDS = "log."
# Those of the last tasks of a job are kept.
MAX_TASKS = 8
MAX_CHARACTERS = 3 * 1024


@dataclass(frozen=True, slots=True)
class TaskLog:
    """What FFmpeg said in an attempt at a task, when it was written down (Unix seconds), and the encoder."""

    task: int
    at: float
    text: str
    encoder: str = field(default="", metadata=SPARSE)


@dataclass(frozen=True, slots=True)
class FfmpegLog:
    """What it said in the newest attempts, the newest last."""

    entries: tuple[TaskLog, ...] = ()

    def after(self, entry: TaskLog) -> "FfmpegLog":
        """Return the log with that of one more attempt, which takes the place of one at the same task."""
        others = (one for one in self.entries if one.task != entry.task)
        return FfmpegLog((*others, entry)[-MAX_TASKS:])


@dataclass(frozen=True)
class FfmpegLogs:
    """The logs of all jobs, on whichever gateway. Errors: NotFound (no such job), Unavailable."""

    store: JobStore
    records: Records[FfmpegLog]

    @classmethod
    def of(cls, store: JobStore, bucket: KeyValue) -> "FfmpegLogs":
        """Return the logs in a bucket; they are deleted with the records of their jobs."""
        logs = cls(store, Records(bucket, FfmpegLog, "log", PREFIX_OF_RECORDS, keeps_values=False))
        store.on_prune.append(logs.delete)
        return logs

    async def note(self, ref: TaskRef, encoder: str, text: str) -> None:
        """Keep what an encoder says that FFmpeg said, if it said anything. Where that cannot be stored, the task goes
        on without."""
        if not text:
            return
        entry = TaskLog(ref.index, round(time.time(), 3), text[-MAX_CHARACTERS:], encoder)
        with log_and_continue("cannot keep the log of a task"):
            await self.records.update(ref.job_id, lambda before: before.after(entry), FfmpegLog())

    async def read(self, job_id: str) -> tuple[Job, FfmpegLog]:
        """Return a job that the caller may see, and its log."""
        job = await self.store.visible(job_id)
        return job, await self.records.get(job_id) or FfmpegLog()

    async def delete(self, job: Job) -> None:
        """Delete the log of a job, if it has one: most have none."""
        if await self.records.get(job.id) is not None:
            await self.records.delete(job.id)

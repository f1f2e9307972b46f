"""A job and its tasks, and what can happen to them. Pure: no I/O, no clock; times are Unix seconds.

Every function takes a job and gives the job that follows from it. What no longer applies (a task that has ended is
started, completed, cancelled) gives the job unchanged, so that a message delivered twice does no harm.
"""

import re
import secrets
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gateway.assets import names
from gateway.fleet.billing import UsageInterval, merge

MAX_WARNINGS = 50
MP4 = "video/mp4"


class Status(StrEnum):
    """Where a job or a task stands."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def ended(self) -> bool:
        """Whether nothing can happen any more."""
        return self not in (Status.IN_QUEUE, Status.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed: canonical gRPC code number, a text for the caller, a word for programs ("": none)."""

    code: int
    message: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResultWarning:
    """Something about a result that is not as was asked: see Warning in video.proto."""

    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A further result of a task: its file name, its asset ("assets/…"), its MIME type."""

    name: str
    asset: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Result:
    """A stored result: the asset, its frames, what made the video and why that ("" where it is not known), its MIME
    type (in records of before there were others "" for MP4), and the further results."""

    asset: str
    frames: int
    codec: str = ""
    codec_reason: str = ""
    warnings: tuple[ResultWarning, ...] = ()
    content_type: str = ""
    files: tuple[ResultFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work with one result. `item` is the caller's id of a batch element, else ""."""

    item: str = ""
    status: Status = Status.IN_QUEUE
    attempts: int = 0
    # Of the last try.
    started_at: float | None = None
    asset: str = ""
    frames: int = 0
    codec: str = ""
    codec_reason: str = ""
    failure: Failure | None = None
    warnings: tuple[ResultWarning, ...] = ()
    # Time on rented machines, all tries; the last one may go on.
    spells: tuple[UsageInterval, ...] = ()
    # Of the result: see Result.
    content_type: str = ""
    files: tuple[ResultFile, ...] = ()

    def is_at(self, started_at: float | None) -> bool:
        """Whether no try was started since the one of that time (None: it was not): else another gateway has it."""
        return started_at in (None, self.started_at)


@dataclass(frozen=True, slots=True)
class Job:
    """A job. `request` is a serialized apigpu.v1.Operation; `batch` tells a list of results from a single one."""

    id: str
    operation: str
    request: bytes
    batch: bool
    tasks: tuple[Task, ...]
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    cancelled: bool = False

    @property
    def status(self) -> Status:
        """Follows from the tasks; a job with at least one result is COMPLETED unless it was cancelled."""
        found = {task.status for task in self.tasks}
        if not all(status.ended for status in found):
            return Status.IN_QUEUE if self.started_at is None else Status.IN_PROGRESS
        if self.cancelled:
            return Status.CANCELLED
        for status in (Status.COMPLETED, Status.TIMED_OUT):
            if status in found:
                return status
        return Status.FAILED

    @property
    def processed(self) -> int:
        """Tasks that gave a result."""
        return sum(task.status is Status.COMPLETED for task in self.tasks)

    @property
    def spells(self) -> tuple[UsageInterval, ...]:
        """Time of all tasks on rented machines."""
        return tuple(spell for task in self.tasks for spell in task.spells)

    @property
    def waiting(self) -> int:
        """Tasks that wait for an encoder."""
        return sum(task.status is Status.IN_QUEUE for task in self.tasks)

    @property
    def running(self) -> int:
        """Tasks that run."""
        return sum(task.status is Status.IN_PROGRESS for task in self.tasks)

    @property
    def failure(self) -> Failure | None:
        """Why a job did not complete: the first failure of the kind that it ended with."""
        if self.status in (Status.FAILED, Status.TIMED_OUT, Status.CANCELLED):
            return next((task.failure for task in self.tasks if task.failure and task.status is self.status), None)
        return None

    def delay_ms(self, now: float) -> int:
        """Milliseconds queued, so far or until the start."""
        return _milliseconds(self.created_at, self.started_at or self.ended_at or now)

    def execution_ms(self, now: float) -> int:
        """Milliseconds since the start, so far or until the end."""
        return _milliseconds(self.started_at, self.ended_at or now) if self.started_at is not None else 0


def first_id(now: float) -> str:
    """What sorts before every id made at this time or later, and after every earlier one."""
    return f"{int(now * 1000):012x}"


def id_time(job_id: str) -> float:
    """When the id was made."""
    return int(job_id[:12], 16) / 1000


def result_name(job: Job, index: int) -> str:
    """Return the file name of a task's result; as that of an MP4 while its type is not known."""
    task = job.tasks[index]
    stem = task.item if job.batch and task.item else job.operation
    return names.name_for_type(f"{stem}.mp4", task.content_type)


def result_files(job: Job, index: int) -> tuple[ResultFile, ...]:
    """Return all results of a task, the first one first; none where an MP4 is all, or there is no result."""
    task = job.tasks[index]
    if not task.asset or (task.content_type in ("", MP4) and not task.files):
        return ()
    return (ResultFile(result_name(job, index), task.asset, task.content_type or MP4), *task.files)


def _milliseconds(start: float, end: float) -> int:
    return max(0, round((end - start) * 1000))


ID = re.compile("[0-9a-f]{32}")


def new_id(now: float) -> str:
    """An unguessable id; ids sort by time. 48 bits of milliseconds and 80 random ones, hexadecimal."""
    return first_id(now) + secrets.token_hex(10)


def begin_spell(job: Job, index: int, spell: UsageInterval) -> Job:
    """A rented machine has the task, and is paid for it from now on."""
    task = job.tasks[index]
    if task.status.ended:
        return job
    before = _closed(task, spell.started_at).spells
    return _with(job, index, replace(task, spells=merge((*before, spell))))


def drop_spell(job: Job, index: int, machine: str) -> Job:
    """The machine did not take the task after all."""
    task = job.tasks[index]
    return _with(job, index, replace(task, spells=task.spells[:-1])) if has_spell(job, index, machine) else job


def end_spell(job: Job, index: int, machine: str, now: float) -> Job:
    """The machine has the task no more."""
    return _with(job, index, _closed(job.tasks[index], now)) if has_spell(job, index, machine) else job


def has_spell(job: Job, index: int, machine: str) -> bool:
    """Whether the machine has the task now."""
    task = job.tasks[index]
    return bool(task.spells) and task.spells[-1].machine == machine and task.spells[-1].ended_at is None


def _closed(task: Task, now: float) -> Task:
    """No machine has the task any more."""
    ended = tuple(spell if spell.ended_at is not None else replace(spell, ended_at=now) for spell in task.spells)
    return replace(task, spells=ended)


def start_task(job: Job, index: int, now: float) -> Job:
    """A dispatcher took the task. Also from IN_PROGRESS: the one that had it is gone."""
    task = job.tasks[index]
    if task.status.ended:
        return job
    started = replace(task, status=Status.IN_PROGRESS, attempts=task.attempts + 1, started_at=now)
    return replace(_with(job, index, started), started_at=job.started_at or now)


def return_task(job: Job, index: int, now: float, *, counted: bool, started_at: float | None = None) -> Job:
    """The try of `started_at`, if it is the last, gives the task back to the queue; with `counted` it counts against
    the limit, if it was started."""
    task = job.tasks[index]
    if not task.is_at(started_at):
        return job
    if not task.status.ended:
        task = _closed(task, now)
    if task.status is not Status.IN_PROGRESS:
        return _with(job, index, task)
    attempts = task.attempts if counted else max(0, task.attempts - 1)
    return _with(job, index, replace(task, status=Status.IN_QUEUE, attempts=attempts))


def complete_task(job: Job, index: int, result: Result, now: float) -> Job:
    """The task's result is stored; of its warnings the first MAX_WARNINGS are kept, so that a record stays small."""
    task = job.tasks[index]
    if task.status.ended:
        return job
    done = replace(
        _closed(task, now),
        status=Status.COMPLETED,
        asset=result.asset,
        frames=result.frames,
        codec=result.codec,
        codec_reason=result.codec_reason,
        failure=None,
        warnings=result.warnings[:MAX_WARNINGS],
        content_type=result.content_type,
        files=result.files,
    )
    return _end_if_over(_with(job, index, done), now)


def fail_task(
    job: Job, index: int, failure: Failure, now: float, *, timed_out: bool = False, started_at: float | None = None
) -> Job:
    """The task failed for good, in the try of `started_at` if it is the last."""
    task = job.tasks[index]
    if task.status.ended or not task.is_at(started_at):
        return job
    status = Status.TIMED_OUT if timed_out else Status.FAILED
    return _end_if_over(_with(job, index, replace(_closed(task, now), status=status, failure=failure)), now)


def cancel(job: Job, failure: Failure, now: float) -> Job:
    """A caller cancelled the job: every task that has not ended is CANCELLED with `failure`."""
    if job.status.ended:
        return job
    tasks = tuple(
        task if task.status.ended else replace(_closed(task, now), status=Status.CANCELLED, failure=failure)
        for task in job.tasks
    )
    return replace(job, tasks=tasks, cancelled=True, ended_at=now)


def _with(job: Job, index: int, task: Task) -> Job:
    return replace(job, tasks=(*job.tasks[:index], task, *job.tasks[index + 1 :]))


def _end_if_over(job: Job, now: float) -> Job:
    return replace(job, ended_at=now) if job.status.ended else job

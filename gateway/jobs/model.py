"""A job, its tasks, and their state transitions. Pure: no I/O, no clock; times are Unix seconds.

Every transition takes a job and returns the job that follows. One that no longer applies (a terminal task is started,
completed, cancelled) returns the job unchanged, so that a message delivered twice does no harm.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from gateway.callers import DEFAULT_TENANT
from gateway.fleet.billing import Cost, UsageInterval, ended_usage
from gateway.jobs.fairness import NORMAL, Lane
from gateway.jobs.history import GATEWAY_GONE, OVERTAKEN, AttemptEnd, AttemptOutcome, PastAttempt, with_attempt
from gateway.jobs.hooks import Webhook
from gateway.jobs.ids import ID as ID
from gateway.jobs.ids import first_id as first_id
from gateway.jobs.ids import id_time as id_time
from gateway.jobs.ids import new_id as new_id
from gateway.jobs.interruptions import MAX_LOST as MAX_LOST
from gateway.jobs.interruptions import Interruptions as Interruptions
from gateway.jobs.interruptions import LostEncoder as LostEncoder
from gateway.jobs.interruptions import UnfitEncoder as UnfitEncoder
from gateway.jobs.outcome import Failure as Failure
from gateway.jobs.outcome import Result as Result
from gateway.jobs.outcome import ResultFile as ResultFile
from gateway.jobs.outcome import ResultWarning as ResultWarning
from gateway.jobs.outputs import OutputTarget
from gateway.jobs.status import Status as Status
from servicekit.codec import SPARSE, STORED

MAX_WARNINGS = 50
# Tasks of a job of which it is told what their inputs and results are.
MAX_FACTS_TASKS = 50
MP4 = "video/mp4"
# Of a job without rented instances, and of those of before usage was counted.
COUNTED = Cost(0.0, 0.0, is_final=True)
# Of the states of tasks that have ended, the first is that of their job.
RANKED = (Status.COMPLETED, Status.TIMED_OUT, Status.FAILED)
RANKED_OF_GRAPHS = (Status.TIMED_OUT, Status.FAILED, Status.COMPLETED)


@dataclass(frozen=True, slots=True)
class Task:
    """One unit of work. `item` is the caller's id of a batch element, else ""; `started_at` is of the last attempt."""

    item: str = ""
    status: Status = Status.IN_QUEUE
    attempts: int = field(default=0, metadata=SPARSE)
    started_at: float | None = field(default=None, metadata=SPARSE)
    asset: str = field(default="", metadata=SPARSE)
    frames: int = field(default=0, metadata=SPARSE)
    codec: str = field(default="", metadata=SPARSE)
    codec_reason: str = field(default="", metadata=SPARSE)
    failure: Failure | None = field(default=None, metadata=SPARSE)
    warnings: tuple[ResultWarning, ...] = field(default=(), metadata=SPARSE)
    # Run time on rented instances, of all attempts; the last interval may be open.
    usage: tuple[UsageInterval, ...] = field(default=(), metadata=SPARSE | {STORED: "spells"})
    # Of the result: see Result.
    content_type: str = field(default="", metadata=SPARSE)
    files: tuple[ResultFile, ...] = field(default=(), metadata=SPARSE)
    duration_seconds: float = field(default=0.0, metadata=SPARSE)
    report: bytes = field(default=b"", metadata=SPARSE)
    playback: bytes = field(default=b"", metadata=SPARSE)
    frames_copied: int = field(default=0, metadata=SPARSE)
    whole_reason: str = field(default="", metadata=SPARSE)
    size_bytes: int = field(default=0, metadata=SPARSE)
    encode_seconds: float = field(default=0.0, metadata=SPARSE)
    facts: bytes = field(default=b"", metadata=SPARSE)
    # Seconds that encoders worked on it, in the attempts that count.
    worked_seconds: float = field(default=0.0, metadata=SPARSE)
    # The next attempt goes to others, where there are others.
    unfit: tuple[UnfitEncoder, ...] = field(default=(), metadata=SPARSE)
    interruptions: Interruptions | None = field(default=None, metadata=SPARSE)
    # The newest attempt, and those before it, which may have stored results that no record names.
    attempt_id: str = field(default="", metadata=SPARSE)
    superseded: tuple[str, ...] = field(default=(), metadata=SPARSE)
    # The name of its encoder, when it ended, and its start where that is not `started_at`; and attempts before it.
    encoder: str = field(default="", metadata=SPARSE)
    ended_at: float | None = field(default=None, metadata=SPARSE)
    second_started_at: float | None = field(default=None, metadata=SPARSE)
    past: tuple[PastAttempt, ...] = field(default=(), metadata=SPARSE)
    # True once an encoder could not plan with outlines of large inputs.
    whole_inputs: bool = field(default=False, metadata=SPARSE)
    # Of a graph: the name of its operation, and the serialized apigpu.v1.Operation, in whose sources "task:N" stands
    # for the result of task N; the tasks that these are; and whether its result is one of the job's.
    kind: str = field(default="", metadata=SPARSE)
    operation: bytes = field(default=b"", metadata=SPARSE)
    needs: tuple[int, ...] = field(default=(), metadata=SPARSE)
    is_kept: bool = field(default=True, metadata=SPARSE)
    # The caller's name for the result, without a suffix; else that which follows from its input.
    output_name: str = field(default="", metadata=SPARSE)
    stem: str = field(default="", metadata=SPARSE)
    # Of one that answered with further tasks: what it answered (see further.py), the first of them, and the one whose
    # result takes the place of its own.
    plan: bytes = field(default=b"", metadata=SPARSE)
    first_further: int = field(default=0, metadata=SPARSE)
    answer: int | None = field(default=None, metadata=SPARSE)
    # The versions of the sources that these read ranges of, by their texts.
    versions: tuple[tuple[str, str], ...] = field(default=(), metadata=SPARSE)
    # Of a further task: the one that answered with it, the codec that it must be made with ("": any), and the frames
    # that it is to make.
    planner: int | None = field(default=None, metadata=SPARSE)
    needs_codec: str = field(default="", metadata=SPARSE)
    frames_planned: int = field(default=0, metadata=SPARSE)

    def is_current(self, started_at: float | None) -> bool:
        """Return True if the attempt started at that time (None: not started yet) is still the newest one. If not,
        another gateway has the task."""
        return started_at in (None, self.started_at)


@dataclass(frozen=True, slots=True)
class Job:
    """A job. `request` is a serialized apigpu.v1.Operation; `batch` tells a list of results from a single one. The
    tasks of a graph have operations of their own, and all must succeed."""

    id: str
    operation: str
    request: bytes
    batch: bool
    tasks: tuple[Task, ...]
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    cancelled: bool = False
    graph: bool = field(default=False, metadata=SPARSE)
    # Name of the claim of its idempotency key, which is dropped with it.
    claim: str = field(default="", metadata=SPARSE)
    # Who is told of it; what its caller noted on it, by name; where its results are put; whose it is, and
    # which of its tenant's jobs go first; at last when it is to be done (Unix seconds; 0 for any).
    webhook: Webhook | None = field(default=None, metadata=SPARSE)
    metadata: tuple[tuple[str, str], ...] = field(default=(), metadata=SPARSE)
    output: OutputTarget | None = field(default=None, metadata=SPARSE)
    tenant: str = field(default=DEFAULT_TENANT, metadata=SPARSE)
    priority: str = field(default=NORMAL, metadata=SPARSE)
    deadline: float = field(default=0.0, metadata=SPARSE)
    # Id of the request that made it, by which logs know it, and its place in a trace (W3C traceparent).
    request_id: str = field(default="", metadata=SPARSE)
    traceparent: str = field(default="", metadata=SPARSE)
    # Its film is to play while it is made, and after.
    preview: bool = field(default=False, metadata=SPARSE)
    # The names of its inputs that are assets, by these; and the job whose request it has anew, if there was one.
    filenames: tuple[tuple[str, str], ...] = field(default=(), metadata=SPARSE)
    retry_of: str = field(default="", metadata=SPARSE)
    # The id of the key that it came with, where that had limits of its own.
    key: str = field(default="", metadata=SPARSE)
    # What it cost as it was counted with its tenant's usage; None until it is.
    counted: Cost | None = field(default=COUNTED, metadata=SPARSE)

    @property
    def lane(self) -> Lane:
        """The lane of its tasks in the queue."""
        return Lane(self.tenant, self.priority, self.key)

    @property
    def status(self) -> Status:
        """That of the tasks; a job whose results are still being put where they are wanted is IN_PROGRESS."""
        return Status.IN_PROGRESS if self.is_delivering else self._status_of_tasks

    @property
    def is_delivering(self) -> bool:
        """True from the last result on until all are put where they are wanted, or given up."""
        return bool(self.output and not self.output.is_settled) and self._status_of_tasks is Status.COMPLETED

    @property
    def _status_of_tasks(self) -> Status:
        """A job with at least one result is COMPLETED unless it was cancelled; a graph needs all."""
        # Looked through, and no set of them: this is asked several times of each record when a gateway starts.
        statuses = [task.status for task in self.tasks]
        if Status.IN_QUEUE in statuses or Status.IN_PROGRESS in statuses:
            return Status.IN_QUEUE if self.started_at is None else Status.IN_PROGRESS
        if self.cancelled:
            return Status.CANCELLED
        ranked = RANKED_OF_GRAPHS if self.graph else RANKED
        return next((status for status in ranked if status in statuses), Status.FAILED)

    def is_ready(self, index: int) -> bool:
        """Return True if the task waits for an encoder, and for no other task."""
        task = self.tasks[index]
        done = (self.tasks[self.provider(needed)].status is Status.COMPLETED for needed in task.needs)
        return task.status is Status.IN_QUEUE and all(done)

    def provider(self, index: int) -> int:
        """Return the task that has the result of a task: of one that answered with further tasks, one of these."""
        while (answer := self.tasks[index].answer) is not None:
            index = answer
        return index

    def kind(self, index: int) -> str:
        """Return the name of a task's operation."""
        return self.tasks[index].kind or self.operation

    @property
    def kept(self) -> tuple[int, ...]:
        """The tasks whose results are those of the job."""
        return tuple(self.provider(index) for index, task in enumerate(self.tasks) if task.is_kept)

    @property
    def intermediates(self) -> tuple[int, ...]:
        """The tasks of a graph that has ended whose results nobody asked for, and still are there. Those that play are
        asked for with a preview."""
        if not self.graph or not self.status.is_terminal:
            return ()
        kept = self.kept if self.status is Status.COMPLETED else ()
        return tuple(
            index
            for index, task in enumerate(self.tasks)
            if task.asset and index not in kept and not (self.preview and task.playback)
        )

    def count(self, status: Status) -> int:
        """Return the number of tasks of this status."""
        return sum(task.status is status for task in self.tasks)

    @property
    def usage(self) -> tuple[UsageInterval, ...]:
        """The run time of all tasks on rented instances."""
        return tuple(interval for task in self.tasks for interval in task.usage)

    @property
    def failure(self) -> Failure | None:
        """The first failure of a task that has the job's own status; None if the job did not fail."""
        if self.status in (Status.FAILED, Status.TIMED_OUT, Status.CANCELLED):
            return next((task.failure for task in self.tasks if task.failure and task.status is self.status), None)
        return None

    def delay_ms(self, now: float) -> int:
        """Return the milliseconds in the queue, until the start or until now."""
        return _milliseconds(self.created_at, self.started_at or self.ended_at or now)

    def execution_ms(self, now: float) -> int:
        """Return the milliseconds since the start, until the end or until now."""
        return _milliseconds(self.started_at, self.ended_at or now) if self.started_at is not None else 0


def _milliseconds(start: float, end: float) -> int:
    return max(0, round((end - start) * 1000))


CANCELLED_CODE = 1  # of gRPC


def start_task(job: Job, index: int, now: float, attempt_id: str = "", encoder: str = "") -> Job:
    """An encoder took the task. Also from IN_PROGRESS: the gateway of the attempt before is gone, which costs none."""
    task = job.tasks[index]
    if task.status.is_terminal:
        return job
    changes: dict[str, Any] = {"attempts": task.attempts + 1}
    if task.status is Status.IN_PROGRESS:
        changes = {"interruptions": _interrupted(task, now), "past": _past(job, index, now, GATEWAY_GONE)}
    if task.attempt_id:
        changes["superseded"] = (*task.superseded, task.attempt_id)[-MAX_LOST:]
    changes |= {"attempt_id": attempt_id, "encoder": encoder}
    started = with_task(job, index, status=Status.IN_PROGRESS, started_at=now, **changes)
    return replace(started, started_at=job.started_at or now)


def return_task(
    job: Job,
    index: int,
    now: float,
    *,
    counted: bool,
    started_at: float | None = None,
    unfit: str = "",
    whole_inputs: bool = False,
    is_interrupted: bool = False,
    lost: LostEncoder | None = None,
    end: AttemptEnd | None = None,
) -> Job:
    """The attempt of `started_at`, if it is current, returns the task to the queue. If `counted`, a started attempt
    counts against the limit. `unfit` is the encoder that failed by a fault of its own, if one did; with `whole_inputs`
    the next one gets no outlines. One that `is_interrupted` was ended by what the task had no part in; `lost` is the
    encoder that the connection to broke; `end` says why it ended."""
    task = job.tasks[index]
    if task.status.is_terminal or not task.is_current(started_at):
        return job
    was_started = task.status is Status.IN_PROGRESS
    attempts = max(0, task.attempts - 1) if was_started and not counted else task.attempts
    found = (*task.unfit, UnfitEncoder(unfit, now)) if unfit else task.unfit
    usage, is_whole = ended_usage(task.usage, now), task.whole_inputs or whole_inputs
    changes = {"attempts": attempts, "usage": usage, "unfit": found, "whole_inputs": is_whole}
    if was_started and end is not None:
        changes |= {"past": _past(job, index, now, end), "encoder": ""}
    if counted:
        changes["worked_seconds"] = _worked_seconds(task, now)
    if is_interrupted:
        changes["interruptions"] = _interrupted(task, now, lost)
    return with_task(job, index, status=Status.IN_QUEUE, **changes)


def _past(job: Job, index: int, now: float, end: AttemptEnd, **facts: Any) -> tuple[PastAttempt, ...]:
    task = job.tasks[index]
    return with_attempt(task.past, (task.started_at or now, task.encoder), now, end, tasks=len(job.tasks), **facts)


def overtake(job: Job, index: int, now: float, started_at: float, encoder: str) -> Job:
    """A second attempt, begun beside the newest one, is about to complete the task: it is the newest one."""
    if job.tasks[index].status.is_terminal:
        return job
    past = _past(job, index, now, OVERTAKEN, outcome=AttemptOutcome.OVERTAKEN)
    return with_task(job, index, past=past, encoder=encoder, second_started_at=started_at)


def _interrupted(task: Task, now: float, lost: LostEncoder | None = None) -> Interruptions:
    before = task.interruptions or Interruptions(now)
    return replace(before, count=before.count + 1, lost=(*before.lost, *([lost] if lost else []))[-MAX_LOST:])


def complete_task(job: Job, index: int, result: Result, now: float) -> Job:
    """The task's result is stored. The first MAX_WARNINGS warnings are kept, which bounds the size of a record."""
    # A task has all fields of its result.
    stored = {entry.name: getattr(result, entry.name) for entry in fields(result)}
    stored["warnings"] = result.warnings[:MAX_WARNINGS]
    stored["playback"] = result.playback if job.preview else b""
    stored["facts"] = result.facts if _tells_facts(job, index) else b""
    return _end_task(job, index, now, status=Status.COMPLETED, failure=None, **stored)


def _tells_facts(job: Job, index: int) -> bool:
    """Return True where it is kept what the inputs and the result of a task are: not of pieces that nobody is given,
    and not of a long batch, whose record would grow by it."""
    planner = job.tasks[index].planner
    if planner is not None:
        return job.tasks[planner].answer == index
    return len(job.tasks) <= MAX_FACTS_TASKS or job.tasks[index].answer is not None


def fail_task(
    job: Job, index: int, failure: Failure, now: float, *, timed_out: bool = False, started_at: float | None = None
) -> Job:
    """The task failed for good in the attempt of `started_at`, if that is current. One that has ended stays as it is: a
    second try may have completed it before the other one began anew."""
    if job.tasks[index].status.is_terminal or not job.tasks[index].is_current(started_at):
        return job
    status = Status.TIMED_OUT if timed_out else Status.FAILED
    if not job.graph:
        return _end_task(job, index, now, status=status, failure=failure)
    task = job.tasks[index]
    name = f"Step {task.item}" if task.planner is None else task.item
    failure = replace(failure, message=f"{name}: {failure.message}")
    worked = {"worked_seconds": _worked_seconds(task, now), "ended_at": _ended_at(task, now)}
    failed = with_task(job, index, status=status, failure=failure, **worked)
    others = Failure(CANCELLED_CODE, f"{name} failed.", "STEP_FAILED")
    return _give_up(failed, others, now) if failed != job else job


def cancel(job: Job, failure: Failure, now: float) -> Job:
    """A caller cancelled the job: every task that is not terminal becomes CANCELLED with `failure`."""
    return job if job.status.is_terminal else replace(_give_up(job, failure, now), cancelled=True)


def _give_up(job: Job, failure: Failure, now: float) -> Job:
    """End the job, and every task that has not ended as CANCELLED with `failure`."""
    tasks = tuple(
        replace(
            task,
            status=task.status if task.status.is_terminal else Status.CANCELLED,
            failure=task.failure if task.status.is_terminal else failure,
            usage=ended_usage(task.usage, now),
            worked_seconds=_worked_seconds(task, now),
            ended_at=task.ended_at if task.status.is_terminal else _ended_at(task, now),
        )
        for task in job.tasks
    )
    return replace(job, tasks=tasks, ended_at=now)


def _end_task(job: Job, index: int, now: float, **changes: Any) -> Job:
    """End the task, and with the last one the job; nothing changes for a task that has ended."""
    task = job.tasks[index]
    if task.status.is_terminal:
        return job
    changes |= {"usage": ended_usage(task.usage, now), "worked_seconds": _worked_seconds(task, now)}
    changes["ended_at"] = _ended_at(task, now)
    job = with_task(job, index, **changes)
    return replace(job, ended_at=now) if job.status.is_terminal else job


def _ended_at(task: Task, now: float) -> float | None:
    """Return the end of the newest attempt, which ends now if it was begun."""
    return round(now, 3) if task.status is Status.IN_PROGRESS else None


def _worked_seconds(task: Task, now: float) -> float:
    """Return the seconds that encoders have worked on the task, the attempt that goes on included."""
    is_at_work = task.status is Status.IN_PROGRESS and task.started_at is not None
    return task.worked_seconds + max(0.0, now - (task.started_at or now)) if is_at_work else task.worked_seconds


def with_task(job: Job, index: int, **changes: Any) -> Job:
    """Return the job with changes to a task."""
    task = replace(job.tasks[index], **changes)
    return replace(job, tasks=(*job.tasks[:index], task, *job.tasks[index + 1 :]))

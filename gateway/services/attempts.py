"""What encoders tried of a job, and what FFmpeg said, as messages of the API."""

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter

from apigpu.v1 import jobs_pb2 as pb2
from gateway.jobs.ffmpeg_log import FfmpegLog
from gateway.jobs.history import PastAttempt
from gateway.jobs.model import Job, Status
from gateway.services.times import timestamp

Outcome = pb2.JobAttempt.Outcome
# Of the newest attempt, by the status of its task.
OUTCOMES = {
    Status.IN_PROGRESS: Outcome.RUNNING,
    Status.COMPLETED: Outcome.COMPLETED,
    Status.FAILED: Outcome.FAILED,
    Status.CANCELLED: Outcome.CANCELLED,
    Status.TIMED_OUT: Outcome.TIMED_OUT,
}

# Returns what a caller is told of an encoder's name.
Named = Callable[[str], str]


def told_attempts(job: Job, most: int, named: Named) -> list[pb2.JobAttempt]:
    """Return the last attempts at the tasks of a job in the order in which they began, so many at most."""
    if not most:
        return []
    # Messages are made of these alone: a batch may have thousands.
    begun = sorted(_begun(job), key=itemgetter(0))[-most:]
    told = [_past(past, index, item_of(job, index)) if past else _newest(job, index) for _, index, past in begun]
    for attempt in told:
        name = attempt.encoder
        attempt.encoder = named(name)
        attempt.message = told_text(attempt.message, [name], named)
    return told


def told_text(text: str, names: Iterable[str], named: Named) -> str:
    """Return what a caller is told of why tasks of these encoders ended: texts of earlier versions name them."""
    for name in filter(None, names):
        text = text.replace(name, named(name))
    return text


def _begun(job: Job) -> Iterator[tuple[float, int, PastAttempt | None]]:
    """Yield when each attempt began and of which task it is; the past one that it is, None for the newest."""
    for index, task in enumerate(job.tasks):
        for past in task.past:
            yield past.started_at, index, past
        # One that was given back to the queue is among the past ones; records of before that were kept say less.
        if task.started_at is not None and (task.status is Status.IN_PROGRESS or task.ended_at is not None):
            yield task.second_started_at or task.started_at, index, None


def _past(one: PastAttempt, index: int, item: str) -> pb2.JobAttempt:
    return pb2.JobAttempt(
        task=index,
        item=item,
        encoder=one.encoder,
        start_time=timestamp(one.started_at),
        end_time=timestamp(one.ended_at),
        outcome=Outcome.Value(one.outcome.value),
        reason=one.reason,
        message=one.message,
    )


def _newest(job: Job, index: int) -> pb2.JobAttempt:
    task = job.tasks[index]
    return pb2.JobAttempt(
        task=index,
        item=item_of(job, index),
        encoder=task.encoder,
        codec=task.codec,
        start_time=timestamp(task.second_started_at or task.started_at),
        end_time=timestamp(task.ended_at),
        outcome=OUTCOMES.get(task.status, Outcome.OUTCOME_UNSPECIFIED),
        reason=task.failure.reason if task.failure else "",
        message=task.failure.message if task.failure else "",
        encode_seconds=task.encode_seconds or None,
    )


def item_of(job: Job, index: int) -> str:
    """Return what a task is, where its job has several."""
    task = job.tasks[index]
    if task.answer is not None:
        return "planning"
    return task.item if job.batch or job.graph else ""


def told_log(job: Job, found: FfmpegLog, named: Named) -> Iterator[pb2.JobLog]:
    """Yield what FFmpeg said of tasks, the newest last."""
    for one in found.entries:
        item = item_of(job, one.task) if one.task < len(job.tasks) else ""
        yield pb2.JobLog(task=one.task, item=item, encoder=named(one.encoder), time=timestamp(one.at), text=one.text)

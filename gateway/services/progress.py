"""How far a job is, over all its tasks."""

from collections.abc import Mapping

from apigpu.v1 import jobs_pb2 as pb2
from gateway.jobs.fairness import FairOrder, Lane, key_of
from gateway.jobs.model import Job, Status, Task
from gateway.jobs.progress import Phase, TaskProgress


def total_progress(job: Job, running: Mapping[int, TaskProgress]) -> pb2.Progress:
    """Return the progress of all tasks. One whose number of frames is not known counts as the average of the others."""
    counted = [index for index, task in enumerate(job.tasks) if _makes_frames(task)]
    begun = {
        index: running[index] for index in counted if index in running and job.tasks[index].status is Status.IN_PROGRESS
    }
    totals = [total for index in counted if (total := _frames_total(job.tasks[index], begun.get(index))) is not None]
    done = sum(job.tasks[index].frames for index in counted if job.tasks[index].status.is_terminal)
    done += sum(progress.frames_done for progress in begun.values())
    fps = sum(progress.fps for progress in begun.values())
    known = round(sum(totals) / len(totals) * len(counted)) if totals else 0
    progress = pb2.Progress(
        frames_done=done,
        frames_total=max(known, done),
        fps=fps,
        processed=job.count(Status.COMPLETED),
        total=len(job.tasks),
        phase=pb2.Phase.Value(furthest_phase(job, running)),
        rented=len({interval.instance for interval in job.usage if interval.ended_at is None}),
    )
    if fps > 0 and known:
        progress.seconds_left = round(max(0, known - done) / fps, 1)
    return progress


def _makes_frames(task: Task) -> bool:
    """Return True for a task whose frames count: not for one that planned, or that joins what others made."""
    return bool(task.frames_planned) or (task.planner is None and task.answer is None)


def _frames_total(task: Task, latest: TaskProgress | None) -> int | None:
    """Return how many frames a task makes; None where that is not known."""
    if task.status.is_terminal:
        return task.frames
    return task.frames_planned or (latest.frames_total if latest else 0) or None


def furthest_phase(job: Job, running: Mapping[int, TaskProgress]) -> Phase:
    """Return the phase of the most advanced task of those that have not ended."""
    found = {
        _phase(task.status, running.get(index)) for index, task in enumerate(job.tasks) if not task.status.is_terminal
    }
    return next((phase for phase in (Phase.ENCODING, Phase.COLD_START) if phase in found), Phase.WAITING_FOR_WORKER)


def waiting_reason(running: Mapping[int, TaskProgress]) -> str | None:
    """Return why a job that runs nowhere yet waits; None where that is not known."""
    return next((progress.reason for progress in running.values() if progress.reason), None)


def limit_reason(order: FairOrder, lane: Lane) -> str | None:
    """Return why a job waits whose tenant or key is at a limit; None where neither is."""
    account = order.at_limit(lane.accounts)
    if account is None:
        return None
    who = "The API key of this job" if key_of(account) else "Your tenant"
    if order.share_of(account).max_running:
        return f"{who} has as many tasks at work as it may have at once (max_running_tasks)."
    return f"{who} has used up what it may of the day (max_minutes_per_day, max_usd_per_day); after midnight UTC."


def _phase(status: Status, latest: TaskProgress | None) -> Phase:
    if status is Status.IN_PROGRESS:
        return latest.phase if latest else Phase.ENCODING
    # The latest progress may be of an attempt that has ended.
    return latest.phase if latest and latest.phase is not Phase.ENCODING else Phase.WAITING_FOR_WORKER

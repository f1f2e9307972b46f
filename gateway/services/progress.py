"""How far a job is, over all its tasks."""

from apigpu.v1 import jobs_pb2 as pb2
from gateway.jobs.model import Job, Status
from gateway.jobs.progress import Phase, TaskProgress


def total_progress(job: Job, running: dict[int, TaskProgress]) -> pb2.Progress:
    """Return the progress of all tasks. Those that have not begun count as the average of those that have."""
    done, totals, fps = 0, [], 0.0
    for index, task in enumerate(job.tasks):
        if task.status.is_terminal:
            done += task.frames
            totals.append(task.frames)
        elif task.status is Status.IN_PROGRESS and index in running:
            done += running[index].frames_done
            fps += running[index].fps
            if running[index].frames_total:
                totals.append(running[index].frames_total)
    known = round(sum(totals) / len(totals) * len(job.tasks)) if totals else 0
    progress = pb2.Progress(
        frames_done=done,
        frames_total=max(known, done),
        fps=fps,
        processed=job.count(Status.COMPLETED),
        total=len(job.tasks),
        phase=pb2.Phase.Value(furthest_phase(job, running)),
    )
    if fps > 0 and known:
        progress.seconds_left = round(max(0, known - done) / fps, 1)
    return progress


def furthest_phase(job: Job, running: dict[int, TaskProgress]) -> Phase:
    """Return the phase of the most advanced task of those that have not ended."""
    found = {
        _phase(task.status, running.get(index)) for index, task in enumerate(job.tasks) if not task.status.is_terminal
    }
    return next((phase for phase in (Phase.ENCODING, Phase.COLD_START) if phase in found), Phase.WAITING_FOR_WORKER)


def waiting_reason(running: dict[int, TaskProgress]) -> str | None:
    """Return why a job that runs nowhere yet waits; None where that is not known."""
    return next((progress.reason for progress in running.values() if progress.reason), None)


def _phase(status: Status, latest: TaskProgress | None) -> Phase:
    if status is Status.IN_PROGRESS:
        return latest.phase if latest else Phase.ENCODING
    # The latest progress may be of an attempt that has ended.
    return latest.phase if latest and latest.phase is not Phase.ENCODING else Phase.WAITING_FOR_WORKER

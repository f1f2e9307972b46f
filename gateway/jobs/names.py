"""Names of the results of jobs, as files. Pure."""

from gateway.assets.record import name_for_type
from gateway.jobs import model
from gateway.jobs.model import Job, ResultFile


def result_name(job: Job, index: int) -> str:
    """Return the file name of a task's result; as that of an MP4 while its type is not known."""
    task = job.tasks[index]
    item = task.item if job.batch or job.graph else ""
    stem = task.output_name or item or job.operation
    return name_for_type(f"{stem}.mp4", task.content_type)


def result_files(job: Job, index: int) -> tuple[ResultFile, ...]:
    """Return all results of a task, the first one first; none where an MP4 is all, or there is no result."""
    task = job.tasks[index]
    if not task.asset or (task.content_type in ("", model.MP4) and not task.files):
        return ()
    return (ResultFile(result_name(job, index), task.asset, task.content_type or model.MP4), *task.files)


def all_results(job: Job, index: int) -> tuple[ResultFile, ...]:
    """Return all results of a task, the first one first, an MP4 too; none where there is no result."""
    task = job.tasks[index]
    if not task.asset:
        return ()
    return result_files(job, index) or (ResultFile(result_name(job, index), task.asset, model.MP4),)

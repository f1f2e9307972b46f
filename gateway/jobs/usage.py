"""Which rented instances had the tasks of a job, and when: steps of its record. Pure."""

from gateway.fleet.billing import UsageInterval, ended_usage, merge
from gateway.jobs import model
from gateway.jobs.model import Job


def begin_usage(job: Job, index: int, interval: UsageInterval) -> Job:
    """A rented instance has the task, and is billed for it from now on."""
    task = job.tasks[index]
    if task.status.is_terminal:
        return job
    return model.with_task(job, index, usage=merge((*ended_usage(task.usage, interval.started_at), interval)))


def drop_usage(job: Job, index: int, instance: str) -> Job:
    """The instance did not take the task after all."""
    if not _has_usage(job, index, instance):
        return job
    return model.with_task(job, index, usage=job.tasks[index].usage[:-1])


def end_usage(job: Job, index: int, instance: str, now: float) -> Job:
    """The instance no longer has the task."""
    if not _has_usage(job, index, instance):
        return job
    return model.with_task(job, index, usage=ended_usage(job.tasks[index].usage, now))


def _has_usage(job: Job, index: int, instance: str) -> bool:
    """Return True if the instance has the task now."""
    usage = job.tasks[index].usage
    return bool(usage) and usage[-1].instance == instance and usage[-1].ended_at is None

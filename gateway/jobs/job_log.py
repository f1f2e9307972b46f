"""What the log tells of jobs."""

import time

import structlog

from gateway.jobs.model import Job
from servicekit import log_context

log = structlog.get_logger("gateway.jobs")


def learn(job: Job) -> None:
    """Have the further lines of what goes on carry the job, and the request that made it."""
    log_context.learn(job=job.id, request_id=job.request_id)


def log_end(job: Job) -> None:
    """Log the end of a job, if it has ended."""
    if job.status.is_terminal:
        seconds = round(time.time() - job.created_at, 3)
        log.info("job ended", job=job.id, request_id=job.request_id, status=job.status.value, seconds=seconds)

"""What the log tells of jobs."""

import time
from dataclasses import replace

import structlog

from gateway.jobs.model import Job
from servicekit import log_context, tracing

log = structlog.get_logger("gateway.jobs")


def of_request(job: Job) -> Job:
    """Return a new job as one of the request that is being served, and of its trace."""
    request_id = log_context.current().get("request_id", "")
    return replace(job, request_id=request_id, traceparent=tracing.traceparent())


def learn(job: Job) -> None:
    """Have the further lines of what goes on carry the job, and the request that made it."""
    log_context.learn(job=job.id, request_id=job.request_id)


def log_end(job: Job) -> None:
    """Log the end of a job, if it has ended."""
    if job.status.is_terminal:
        seconds = round(time.time() - job.created_at, 3)
        log.info("job ended", job=job.id, request_id=job.request_id, status=job.status.value, seconds=seconds)

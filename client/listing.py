"""Jobs as rows."""

from collections.abc import Iterable

from client.job import Job
from client.table import show_rows

HEADINGS = ("job", "status", "operation", "tasks", "queued", "encoding", "accepted")


def show(jobs: Iterable[Job]) -> None:
    """Print them."""
    show_rows(HEADINGS, (cells(job) for job in jobs))


def cells(job: Job) -> tuple[str, ...]:
    """A job in words, by HEADINGS."""
    return (
        job.id,
        job.status,
        job.operation,
        f"{job.processed}/{job.total}",
        f"{job.queued_milliseconds / 1000:.1f} s",
        f"{job.encoding_milliseconds / 1000:.1f} s",
        f"{job.created:%Y-%m-%d %H:%M:%S}Z" if job.created else "",
    )

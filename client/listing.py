"""Jobs as a table on a terminal, and as lines with tabs elsewhere."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from client.job import Job

HEADINGS = ("job", "status", "operation", "tasks", "queued", "encoding", "accepted")


def show(jobs: Iterable[Job]) -> None:
    """Print them."""
    rows = (cells(job) for job in jobs)
    if not sys.stdout.isatty():
        for row in rows:
            print(*row, sep="\t")
        return
    table = Table(*HEADINGS, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(markup=False).print(table)


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

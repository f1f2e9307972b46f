"""A job in full, as lines of a name and what is told by it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api_gpu.cli.amounts import bytes_cell, seconds_cell, time_cell
from api_gpu.cli.display import cost_text
from api_gpu.cli.tables import COLORS

if TYPE_CHECKING:
    from api_gpu.jobs import Job
    from api_gpu.outcomes import MediaFacts

NAMELESS = "(no name)"


def print_job(job: Job) -> None:
    """Print what is told of a job: aligned on a terminal, lines with a tab elsewhere."""
    rows = [(name, text) for name, text in job_facts(job) if text]
    if not sys.stdout.isatty():
        for row in rows:
            print(*row, sep="\t")
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, Text(text, style=COLORS.get(text, "")))
    Console().print(table)


def job_facts(job: Job) -> Iterator[tuple[str, str]]:
    """Yield what is told of a job, by name; "" for what it does not have."""
    yield "job", job.id
    yield "status", job.status
    yield "operation", job.operation
    yield "tasks", f"{job.processed}/{job.total}"
    yield "accepted", time_cell(job.created)
    yield "queued", seconds_cell(job.queued_milliseconds / 1000)
    yield "encoding", seconds_cell(job.encoding_milliseconds / 1000) if job.started else ""
    yield "cost", cost_text(job.cost_usd).removeprefix(", ")
    yield "retry of", job.request.retry_of
    yield from ((f"metadata {name}", text) for name, text in job.metadata.items())
    known = {fact.field: fact for fact in job.input_facts}
    for found in job.inputs:
        yield found.field, _joined(found.name or NAMELESS, _told(known.get(found.field)))
    yield "why", str(job.error) if job.error else ""
    yield from (("warning", text) for text in job.warnings)
    yield from _results(job, {fact.item: fact for fact in job.result_facts})


def _results(job: Job, known: Mapping[str, MediaFacts]) -> Iterator[tuple[str, str]]:
    if job.asset:
        yield "result", _joined(job.asset, _told(known.get("")))
    for clip in job.clips:
        yield f"result {clip.id}", str(clip.error) if clip.error else _joined(clip.asset, _told(known.get(clip.id)))


def _told(fact: MediaFacts | None) -> str:
    if fact is None:
        return ""
    size = f"{fact.width}x{fact.height}" if fact.width else ""
    length = seconds_cell(fact.duration) if fact.duration else ""
    return _joined(length, size, fact.codec, bytes_cell(fact.size_bytes) if fact.size_bytes else "")


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)

"""Tables of jobs, rented machines and costs."""

import csv
import sys
from collections.abc import Iterable, Sequence
from itertools import compress

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from api_gpu.assets import Asset
from api_gpu.attempts import JobAttempt, JobLog
from api_gpu.cli.amounts import bytes_cell, minutes_cell, seconds_cell, time_cell
from api_gpu.fleet import DayCosts, Fleet, Machine, PooledEncoder
from api_gpu.jobs import Job
from api_gpu.keys import Key

GAP_COLUMNS = 2
# What a cell that may be folded needs at least.
FOLDED_COLUMNS = 12


def print_rows(headings: Sequence[str], rows: Iterable[Sequence[str]], drops: Sequence[str] = ()) -> None:
    """Print rows: a table on a terminal, lines with tabs elsewhere. Where a terminal is narrow, columns with the
    headings `drops` are left out, in their order: the first cell of a row, by which other commands know it, has to be
    whole. Without any, cells are folded."""
    if not sys.stdout.isatty():
        for row in rows:
            print(*row, sep="\t")
        return
    console, cells = Console(), list(rows)
    shown = [heading not in dropped(headings, cells, drops, console.width) for heading in headings]
    *whole, last = compress(headings, shown)
    table = Table(*(Column(heading, no_wrap=bool(drops)) for heading in whole), last, box=None, pad_edge=False)
    for row in cells:
        table.add_row(*(Text(cell, style=COLORS.get(cell, "")) for cell in compress(row, shown)))
    console.print(table)


def dropped(headings: Sequence[str], rows: Sequence[Sequence[str]], drops: Sequence[str], width: int) -> set[str]:
    """Return the headings of the columns to leave out on a terminal of a width, where the last column is folded."""
    needed = {heading: max(map(cell_len, (heading, *cells))) for heading, *cells in zip(headings, *rows, strict=True)}
    needed[headings[-1]] = min(needed[headings[-1]], FOLDED_COLUMNS)
    left_out: set[str] = set()
    for heading in drops:
        kept = [columns for name, columns in needed.items() if name not in left_out]
        if sum(kept) + GAP_COLUMNS * (len(kept) - 1) <= width:
            break
        left_out.add(heading)
    return left_out


def print_csv(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as CSV, below the headings."""
    writer = csv.writer(sys.stdout)
    writer.writerow(headings)
    writer.writerows(rows)


COLORS = {
    "COMPLETED": "green",
    "IN_PROGRESS": "cyan",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "CANCELLED": "yellow",
}
"""Colors of what a cell says, on a terminal that has them."""

HEADINGS = ("job", "status", "operation", "tasks", "queued", "encoding", "accepted", "inputs")
SHOWN_NAMES, NAME_LETTERS = 2, 30


def print_jobs(jobs: Iterable[Job]) -> None:
    """Print a row for each job."""
    print_rows(HEADINGS, (job_cells(job) for job in jobs), ("queued", "encoding", "tasks", "operation", "accepted"))


def job_cells(job: Job) -> tuple[str, ...]:
    """Return the cells of a job's row, by HEADINGS."""
    return (
        job.id,
        job.status,
        job.operation,
        f"{job.processed}/{job.total}",
        seconds_cell(job.queued_milliseconds / 1000),
        seconds_cell(job.encoding_milliseconds / 1000),
        time_cell(job.created),
        input_names(job),
    )


def input_names(job: Job) -> str:
    """Return the names of the first inputs of a job, and how many more it has."""
    names = [_shortened(found.name) for found in job.inputs if found.name]
    more = job.request.input_count - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" +{more}" if more > 0 else "")


def _shortened(name: str) -> str:
    """Return a name without its middle where it is long."""
    half = NAME_LETTERS // 2
    return name if len(name) <= NAME_LETTERS else f"{name[: half - 1]}…{name[-half:]}"


ATTEMPTS = ("began", "task", "encoder", "codec", "took", "outcome", "why")


def print_attempts(job: Job, logs: Iterable[JobLog]) -> None:
    """Print a row for each attempt at a job, then what FFmpeg said of tasks. For people columns are left out that are
    empty."""
    rows = [_attempt(attempt) for attempt in job.attempts]
    if not rows:
        began = f"it is {job.status}, and no encoder had begun it" if job.ended else "no encoder has begun it yet"
        print(began, file=sys.stderr)
        return
    told = [not sys.stdout.isatty() or any(cells) for cells in zip(*rows, strict=True)]
    print_rows(list(compress(ATTEMPTS, told)), (list(compress(row, told)) for row in rows))
    for log in logs:
        of = f" of {log.item}" if log.item else ""
        print(f"\nWhat FFmpeg said{of} on {log.encoder}, {time_cell(log.time)}:")
        print(log.text)


def _attempt(attempt: JobAttempt) -> tuple[str, ...]:
    seconds = (attempt.ended - attempt.started).total_seconds() if attempt.started and attempt.ended else None
    why = attempt.message or attempt.reason
    return (
        time_cell(attempt.started),
        attempt.item,
        attempt.encoder,
        attempt.codec,
        seconds_cell(seconds),
        attempt.outcome,
        why,
    )


ASSETS = ("asset", "name", "type", "size", "stored", "until")


def print_assets(assets: Iterable[Asset]) -> None:
    """Print a row for each asset."""
    print_rows(ASSETS, (_asset(asset) for asset in assets), ("until", "type", "size", "stored"))


def _asset(asset: Asset) -> tuple[str, ...]:
    times = (time_cell(asset.created), time_cell(asset.expires))
    return (asset.name, asset.filename, asset.content_type, bytes_cell(asset.size_bytes), *times)


KEYS = ("key", "tenant", "name", "scopes", "made", "until", "limits")
LIMITS = {
    "max_queued_jobs": "queued",
    "max_running_tasks": "running",
    "max_minutes_per_day": "min/day",
    "max_usd_per_day": "$/day",
}


def print_keys(keys: Iterable[Key]) -> None:
    """Print a row for each key."""
    print_rows(KEYS, (_key(key) for key in keys))


def _key(key: Key) -> tuple[str, ...]:
    until = "for ever" if key.expires is None else time_cell(key.expires)
    until = until if key.revoked is None else f"revoked {time_cell(key.revoked)}"
    limits = ", ".join(f"{getattr(key, name):g} {unit}" for name, unit in LIMITS.items() if getattr(key, name))
    return (key.id, key.tenant, key.name, ",".join(key.scopes), time_cell(key.created), until, limits)


ENCODERS = ("encoder", "state", "busy", "codecs", "whose", "tenants see")
MACHINES = ("machine", "provider", "state", "what", "busy", "$/hour", "$", "since", "why")
DAYS = ("day", "provider", "$", "machines", "tasks", "worked", "paid for")
ENDED = "ENDED"


def print_fleet(fleet: Fleet, *, with_ended: bool) -> None:
    """Print the machines, for people the encoders before them; a summary goes to stderr, so that a program can read the
    rows."""
    wanted = [machine for machine in fleet.machines if with_ended or machine.state != ENDED]
    if sys.stdout.isatty():
        print_rows(ENCODERS, (_encoder(encoder) for encoder in fleet.encoders))
        print()
    if wanted:
        print_rows(MACHINES, (_machine(machine) for machine in wanted))
    print(_summary(fleet), file=sys.stderr)
    for name, fault in [*fleet.providers.items(), *fleet.notices.items()]:
        if fault:
            print(f"{name}: {fault}", file=sys.stderr)


def print_costs(days: Iterable[DayCosts]) -> None:
    """Print a row for each day and provider."""
    print_rows(DAYS, (_day(day) for day in days))


def _summary(fleet: Fleet) -> str:
    providers = ", ".join(fleet.providers) or "no provider is set up, so nothing is rented"
    money = f"${fleet.usd_per_hour:.2f} an hour, ${fleet.usd_today:.2f} today"
    ready = [encoder for encoder in fleet.encoders if encoder.ready]
    busy, slots = sum(encoder.busy for encoder in ready), sum(encoder.slots for encoder in ready)
    answering = f"{len(ready)} of {len(fleet.encoders)} encoders answer, {busy} of {slots} slots are busy"
    return f"{answering}; {fleet.waiting} tasks wait, {fleet.running} run; {money}; {providers}"


def _encoder(encoder: PooledEncoder) -> tuple[str, ...]:
    state = "answers" if encoder.ready else "does not answer"
    whose = "rented" if encoder.rented else "own"
    return (encoder.name, state, f"{encoder.busy}/{encoder.slots}", ", ".join(encoder.codecs), whose, encoder.known_as)


def _machine(machine: Machine) -> tuple[str, ...]:
    return (
        machine.id,
        machine.provider,
        machine.state,
        machine.description,
        f"{machine.busy}/{machine.slots}",
        f"{machine.usd_per_hour:.3f}",
        f"{machine.usd:.4f}",
        time_cell(machine.created),
        machine.reason,
    )


def _day(day: DayCosts) -> tuple[str, ...]:
    return (
        day.date,
        day.provider,
        f"{day.usd:.4f}",
        str(day.machines),
        str(day.tasks),
        minutes_cell(day.busy_seconds),
        minutes_cell(day.paid_seconds),
    )

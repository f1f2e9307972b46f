"""The commands that read and end jobs, and that show what is rented for them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from api_gpu.cli.job_options import metadata_entry
from api_gpu.cli.options import FAILED
from apigpu.options import Status

if TYPE_CHECKING:
    from api_gpu.jobs import Job

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job, as `api-gpu jobs` lists it.")]


def jobs(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option(help="Only jobs of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Jobs to list.")] = 20,
    operation: Annotated[str, typer.Option(help="Only jobs of this operation.")] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only jobs with this entry of metadata.")
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="Only jobs that were accepted then or later, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only jobs that were accepted before, UTC.")] = None,
    tenant: Annotated[str, typer.Option(help="Only jobs of this tenant, for a key with the scope admin.")] = "",
) -> None:
    """List jobs, the newest first."""
    from itertools import islice

    from api_gpu.cli.tables import print_jobs

    notes = dict(metadata_entry(text) for text in metadata or ())
    with context.obj.client() as client:
        found = client.jobs(status, operation=operation, metadata=notes, since=since, until=until, tenant=tenant)
        context.obj.show(list(islice(found, limit)), print_jobs)


def show(context: typer.Context, job: JobArgument) -> None:
    """Show a job: what it was made of, what it made, and why it failed if it did."""
    from api_gpu.cli.facts import print_job

    with context.obj.client() as client:
        context.obj.show(client.get(job), print_job)


def watch(context: typer.Context, job: JobArgument) -> None:
    """Follow a job to its end, and print the links of its results."""
    from api_gpu.cli.run import JobRunner

    with context.obj.client() as client, context.obj.display() as display:
        ended = JobRunner(client, display, context.obj).follow(client.get(job)).checked()
    context.obj.show(ended, _print_links)
    if any(clip.error for clip in ended.clips):
        raise typer.Exit(FAILED)


def _print_links(job: Job) -> None:
    from api_gpu.cli.run import print_clips, print_warnings

    print_warnings(job.warnings)
    for link in links_of(job):
        print(link)
    print_clips(job.clips, {clip.id: clip.video_url for clip in job.clips})


def links_of(job: Job) -> list[str]:
    """Return the links of the results of a job that has no clips."""
    return [file.url for file in job.files] or [url for url in (job.video_url, job.image_url) if url]


def open_result(context: typer.Context, job: JobArgument) -> None:
    """Open the results of a job in the browser, and print their links."""
    from servicekit.errors import FailedPrecondition

    with context.obj.client() as client:
        found = client.get(job)
    if not found.ended:
        raise FailedPrecondition(f"Job {job} is {found.status}; `api-gpu watch {job}` follows it to its end.")
    found.checked()
    links = links_of(found) or [clip.video_url for clip in found.clips if clip.video_url]
    if not links:
        raise FailedPrecondition(f"Job {job} made no file; `api-gpu --json watch {job}` prints what it found.")
    print(*links, sep="\n")
    for link in links:
        typer.launch(link)


def log(context: typer.Context, job: JobArgument) -> None:
    """Print what encoders tried of a job, and the end of what FFmpeg said.

    Of each attempt at a task: when it began, the task where the job has several,
    encoder, codec, how long it took, how it ended, and why if without a result.

    What FFmpeg said is kept of attempts that failed or have warnings.
    """
    from api_gpu.cli.tables import print_attempts

    with context.obj.client() as client:
        found, logs = client.get(job), client.logs(job)
    context.obj.show({"attempts": found.attempts, "logs": logs}, lambda _: print_attempts(found, logs))


def cancel(context: typer.Context, job: JobArgument) -> None:
    """Cancel a job."""
    with context.obj.client() as client:
        client.cancel(job)
    context.obj.show({"job": job, "status": "CANCELLED"}, lambda _: print(f"job {job} is cancelled"))


def retry(context: typer.Context, job: JobArgument) -> None:
    """Queue a job anew that has ended, with the same inputs and options, and print the new one's id."""
    with context.obj.client() as client:
        context.obj.show(client.retry(job), lambda made: print(made.id))


def fleet(
    context: typer.Context,
    costs: Annotated[bool, typer.Option("--costs", help="Show what was spent, by day and provider.")] = False,
    days: Annotated[int, typer.Option(min=1, max=31, help="Days to show, with --costs.")] = 7,
    ended: Annotated[bool, typer.Option("--ended", help="Show machines too that have ended.")] = False,
) -> None:
    """Show encoders, those that are rented, and what they cost."""
    from functools import partial

    from api_gpu.cli.tables import print_costs, print_fleet

    with context.obj.client() as client:
        if costs:
            context.obj.show(list(client.fleet_costs(days)), print_costs)
        else:
            context.obj.show(client.fleet(), partial(print_fleet, with_ended=ended))

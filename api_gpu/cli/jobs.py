"""The commands that read and end jobs."""

from typing import Annotated

import typer

from api_gpu.cli.output import FAILED, tell_warnings, told_clips
from api_gpu.options import Status


def jobs(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option(help="Only jobs that stand there.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Jobs to print_jobs.")] = 20,
) -> None:
    """List jobs, the newest first."""
    from itertools import islice

    from api_gpu.cli.tables import print_jobs

    with context.obj.client() as client:
        print_jobs(islice(client.jobs(status), limit))


def watch(context: typer.Context, job: str) -> None:
    """Follow a job to its end, and print the links of its results. Raises typer.Exit when an image failed."""
    from api_gpu.cli.display import display
    from api_gpu.cli.run import JobRunner

    with context.obj.client() as client, display() as shown:
        ended = JobRunner(client, shown).follow(client.get(job)).checked()
    tell_warnings(ended.warnings)
    if ended.video_url:
        print(ended.video_url)
    if told_clips(ended.clips, {clip.id: clip.video_url for clip in ended.clips}):
        raise typer.Exit(FAILED)


def cancel(context: typer.Context, job: str) -> None:
    """Cancel a job."""
    with context.obj.client() as client:
        client.cancel(job)
    print(f"job {job} is cancelled")

"""The commands that read and end jobs."""

from typing import Annotated

import typer

from client.commands.result import FAILED, tell_warnings, told_clips
from client.status import Status


def jobs(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option(help="Only jobs that stand there.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Jobs to show.")] = 20,
) -> None:
    """List jobs, the newest first."""
    from itertools import islice

    from client.listing import show

    with context.obj.client() as client:
        show(islice(client.jobs(status), limit))


def watch(context: typer.Context, job: str) -> None:
    """Follow a job to its end, and print the links of its results. Raises typer.Exit when an image failed."""
    from client.display import display
    from client.errand import Errand

    with context.obj.client() as client, display() as shown:
        ended = Errand(client, shown).follow(client.get(job)).checked()
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

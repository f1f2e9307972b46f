"""The commands that read and end jobs, and that show what is rented for them."""

from datetime import datetime
from typing import Annotated

import typer

from api_gpu.cli.options import FAILED
from apigpu.options import Status


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

    notes = dict(_entry(text) for text in metadata or ())
    with context.obj.client() as client:
        found = client.jobs(status, operation=operation, metadata=notes, since=since, until=until, tenant=tenant)
        print_jobs(islice(found, limit))


def _entry(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter("give NAME=VALUE", param_hint="--metadata")
    return name, value


def watch(context: typer.Context, job: str) -> None:
    """Follow a job to its end, and print the links of its results."""
    from api_gpu.cli.display import open_display
    from api_gpu.cli.run import JobRunner, print_clips, print_warnings

    with context.obj.client() as client, open_display() as display:
        ended = JobRunner(client, display).follow(client.get(job)).checked()
    print_warnings(ended.warnings)
    if ended.video_url:
        print(ended.video_url)
    if print_clips(ended.clips, {clip.id: clip.video_url for clip in ended.clips}):
        raise typer.Exit(FAILED)


def cancel(context: typer.Context, job: str) -> None:
    """Cancel a job."""
    with context.obj.client() as client:
        client.cancel(job)
    print(f"job {job} is cancelled")


def fleet(
    context: typer.Context,
    costs: Annotated[bool, typer.Option("--costs", help="Show what was spent, by day and provider.")] = False,
    days: Annotated[int, typer.Option(min=1, max=31, help="Days to show, with --costs.")] = 7,
    ended: Annotated[bool, typer.Option("--ended", help="Show machines too that have ended.")] = False,
) -> None:
    """Show rented encoders, and what they cost."""
    from api_gpu.cli.tables import print_costs, print_fleet

    with context.obj.client() as client:
        if costs:
            print_costs(client.fleet_costs(days))
        else:
            print_fleet(client.fleet(), with_ended=ended)

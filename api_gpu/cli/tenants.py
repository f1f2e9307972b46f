"""The commands for what an operator says of tenants, and for what was done for them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from api_gpu.cli.keys import AdminKeyOption, as_admin

if TYPE_CHECKING:
    from api_gpu.tenants import Tenant

app = typer.Typer(help="Limits, weights and webhooks of tenants.", no_args_is_help=True)

TenantArgument = Annotated[str, typer.Argument(help="Whose: the name that its keys were made for.")]
DayOption = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


@app.callback()
def options(context: typer.Context, admin_key: AdminKeyOption = None) -> None:
    """Take the key of the operator in place of that of jobs."""
    context.obj = as_admin(context.obj, admin_key)


@app.command("set")
def set_tenant(
    context: typer.Context,
    tenant: TenantArgument,
    max_queued_jobs: Annotated[int | None, typer.Option(min=0, help="Jobs that may wait for their encoder.")] = None,
    max_running_tasks: Annotated[int | None, typer.Option(min=0, help="Tasks that may be at work at once.")] = None,
    max_minutes_per_day: Annotated[
        float | None, typer.Option(min=0, help="Minutes that encoders may work in a day (UTC).")
    ] = None,
    max_usd_per_day: Annotated[
        float | None, typer.Option(min=0, help="US dollars that rented encoders may cost in a day (UTC).")
    ] = None,
    max_stored_bytes: Annotated[int | None, typer.Option(min=0, help="Bytes of files, results included.")] = None,
    max_open_uploads: Annotated[
        int | None, typer.Option(min=0, help="Uploads that may be open; 0 for the number of MAX_OPEN_UPLOADS.")
    ] = None,
    weight: Annotated[
        float | None, typer.Option(min=0.01, max=100, help="Share of the encoders, beside those of the others.")
    ] = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Whom jobs are told to that name no webhook; '' for nobody.")
    ] = None,
    webhook_event: Annotated[
        list[str] | None, typer.Option(help="What that webhook is told; job.ended by default.")
    ] = None,
    webhook_secret: Annotated[
        str | None,
        typer.Option(envvar="TENANT_WEBHOOK_SECRET", help="Signs calls of its jobs' webhooks; '' for the gateway's."),
    ] = None,
) -> None:
    """Change what is said of a tenant; what is not given stays as it is. A limit of 0 is none."""
    with context.obj.client() as client:
        changed = client.tenants.update(
            tenant,
            max_queued_jobs=max_queued_jobs,
            max_running_tasks=max_running_tasks,
            max_minutes_per_day=max_minutes_per_day,
            max_usd_per_day=max_usd_per_day,
            max_stored_bytes=max_stored_bytes,
            weight=weight,
            webhook_url=webhook_url,
            webhook_events=webhook_event or (),
            webhook_secret=webhook_secret,
            max_open_uploads=max_open_uploads,
        )
    context.obj.show(changed, print_tenant)


@app.command()
def show(context: typer.Context, tenant: TenantArgument) -> None:
    """Print what is said of a tenant, and how much of its limits is used today."""
    with context.obj.client() as client:
        found, quotas = client.tenants.get(tenant), client.quotas(tenant)
    context.obj.show({"tenant": found, "quotas": quotas}, lambda _: print_tenant(found))
    for quota in quotas:
        whose = f" of the key {quota.key}" if quota.key else ""
        print(f"{quota.used:.15g} of {quota.limit:.15g} {quota.quota}{whose} used", file=sys.stderr)


@app.command("list")
def list_tenants(context: typer.Context) -> None:
    """List the tenants of which something is said."""
    with context.obj.client() as client:
        context.obj.show(client.tenants.list(), print_tenants)


COLUMNS = (
    "max_queued_jobs",
    "max_running_tasks",
    "max_minutes_per_day",
    "max_usd_per_day",
    "max_stored_bytes",
    "max_open_uploads",
    "weight",
    "webhook_url",
)


def print_tenants(tenants: list[Tenant]) -> None:
    """Print a row for each tenant."""
    from api_gpu.cli.tables import print_rows

    rows = [[one.tenant, *(shown(getattr(one, name)) for name in COLUMNS)] for one in tenants]
    print_rows(("tenant", *(name.removeprefix("max_") for name in COLUMNS)), rows)


def print_tenant(tenant: Tenant) -> None:
    """Print a line for each thing that is said."""
    from api_gpu.cli.tables import print_rows

    print_rows(("what", "is"), [(name, shown(value)) for name, value in asdict(tenant).items()])


def shown(value: object) -> str:
    """Return a cell: nothing for what is not limited, or not said."""
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:.15g}" if isinstance(value, float) and value else str(value or "")


def usage(
    context: typer.Context,
    since: DayOption = None,
    until: DayOption = None,
    tenant: Annotated[str, typer.Option(help="Whose, with a key of the scope admin; all when not given.")] = "",
    operation: Annotated[str, typer.Option(help="Only that of this operation.")] = "",
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    admin_key: AdminKeyOption = None,
) -> None:
    """Print what was done by day, tenant and operation, the newest day first."""
    from api_gpu.cli.tables import print_csv, print_rows

    target = as_admin(context.obj, admin_key)
    with target.client() as client:
        found = client.usage(_day(since), _day(until), tenant=tenant, operation=operation)
    rows = [list(asdict(line).values()) for line in found]
    if csv:
        print_csv(USAGE, rows)
    else:
        target.show(found, lambda _: print_rows(USAGE, [list(map(cell, row)) for row in rows]))


USAGE = (
    "date",
    "tenant",
    "operation",
    "jobs",
    "failed_jobs",
    "cancelled_jobs",
    "output_seconds",
    "encoder_seconds",
    "cost_usd",
    "result_bytes",
)


def cell(value: object) -> str:
    """Return a figure with three places, or text."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None

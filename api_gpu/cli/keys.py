"""The commands that make and end the keys of tenants, for the operator."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

from api_gpu.cli.options import Invocation

app = typer.Typer(help="Make and end the keys of tenants.", no_args_is_help=True)

AdminKeyOption = Annotated[
    str | None,
    typer.Option("--admin-key", envvar="ADMIN_API_KEY", show_envvar=True, help="A key with the scope admin."),
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as `keys list` shows it.")]
QueuedOption = Annotated[int | None, typer.Option(min=0, help="Jobs of the key that may wait for their encoder.")]
RunningOption = Annotated[int | None, typer.Option(min=0, help="Tasks of its jobs that may be at work at once.")]
MinutesOption = Annotated[
    float | None, typer.Option(min=0, help="Minutes that encoders may work for its jobs in a day (UTC).")
]
UsdOption = Annotated[
    float | None, typer.Option(min=0, help="US dollars that rented encoders may cost for its jobs in a day (UTC).")
]
KEPT_NOWHERE = "this is the only time that the key is shown; keep it"


@app.callback()
def options(context: typer.Context, admin_key: AdminKeyOption = None) -> None:
    """Take the key of the operator in place of that of jobs."""
    context.obj = as_admin(context.obj, admin_key)


def as_admin(target: Invocation, admin_key: str | None) -> Invocation:
    """Return an invocation with the key of the operator, where there is one, in place of that of jobs."""
    from servicekit import secret_files

    key = admin_key or secret_files.from_environment("ADMIN_API_KEY")
    return replace(target, key=key) if key else target


@app.command()
def create(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Whose the key is: a name of small letters, digits, - _ and .")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may do: submit, read, cancel, assets, fleet, admin; the first four by default."),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Days until it ends; never by default.")] = None,
    certificate_name: Annotated[
        list[str] | None, typer.Option(help="Name of a client certificate that it must come with.")
    ] = None,
    max_queued_jobs: QueuedOption = None,
    max_running_tasks: RunningOption = None,
    max_minutes_per_day: MinutesOption = None,
    max_usd_per_day: UsdOption = None,
) -> None:
    """Make a key, and print it; it is kept nowhere. Its limits hold beside those of its tenant."""
    from datetime import UTC, datetime, timedelta

    expires = datetime.now(UTC) + timedelta(days=days) if days is not None else None
    with context.obj.client() as client:
        key, text = client.keys.create(
            tenant,
            name,
            scope or (),
            expires=expires,
            certificate_names=certificate_name or (),
            max_queued_jobs=max_queued_jobs or 0,
            max_running_tasks=max_running_tasks or 0,
            max_minutes_per_day=max_minutes_per_day or 0.0,
            max_usd_per_day=max_usd_per_day or 0.0,
        )
    context.obj.show({"key": key, "text": text}, lambda _: print(text))
    print(f"key {key.id} of {key.tenant} may {', '.join(key.scopes)}; {KEPT_NOWHERE}", file=sys.stderr)


@app.command("list")
def list_keys(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help="Only the keys of this tenant.")] = "",
) -> None:
    """List keys, the newest first."""
    from api_gpu.cli.tables import print_keys

    with context.obj.client() as client:
        context.obj.show(client.keys.list(tenant), print_keys)


@app.command("set")
def set_limits(
    context: typer.Context,
    key_id: IdArgument,
    max_queued_jobs: QueuedOption = None,
    max_running_tasks: RunningOption = None,
    max_minutes_per_day: MinutesOption = None,
    max_usd_per_day: UsdOption = None,
) -> None:
    """Change limits of a key, for what it submits from then on; what is not given stays as it is, and 0 is none."""
    from api_gpu.cli.tables import print_keys

    with context.obj.client() as client:
        key = client.keys.update(
            key_id,
            max_queued_jobs=max_queued_jobs,
            max_running_tasks=max_running_tasks,
            max_minutes_per_day=max_minutes_per_day,
            max_usd_per_day=max_usd_per_day,
        )
    context.obj.show(key, lambda one: print_keys([one]))


@app.command()
def revoke(context: typer.Context, key_id: IdArgument) -> None:
    """End a key for good; its jobs and files stay."""
    with context.obj.client() as client:
        key = client.keys.revoke(key_id)
    context.obj.show(key, lambda _: print(f"key {key.id} of {key.tenant} is revoked"))


@app.command()
def rotate(
    context: typer.Context,
    key_id: IdArgument,
    grace_hours: Annotated[
        float, typer.Option(min=0, max=168, help="Hours for which the key of before is taken too.")
    ] = 0.0,
) -> None:
    """Give a key another text, and print it; it is kept nowhere."""
    with context.obj.client() as client:
        key, text = client.keys.rotate(key_id, grace_hours * 3600)
    context.obj.show({"key": key, "text": text}, lambda _: print(text))
    print(f"key {key.id} of {key.tenant} has another text; {KEPT_NOWHERE}", file=sys.stderr)

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
) -> None:
    """Make a key, and print it; it is kept nowhere."""
    from datetime import UTC, datetime, timedelta

    expires = datetime.now(UTC) + timedelta(days=days) if days is not None else None
    with context.obj.client() as client:
        key, text = client.keys.create(
            tenant, name, scope or (), expires=expires, certificate_names=certificate_name or ()
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

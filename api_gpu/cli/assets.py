"""The commands that list and delete the files at the gateway."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api_gpu.cli.options import FAILED

# Once more in api_gpu.requests, which `--help` does not load.
PREFIX = "assets/"
LIST = "list"


class ListingGroup(TyperGroup):
    """A group of commands that lists where none of them is named: `api-gpu assets --type video`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_named = bool(args) and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
        if not is_named and not ctx.resilient_parsing:  # a shell that completes wants to know the commands
            args = [LIST, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=ListingGroup, help="List the files at the gateway (without a command), or delete some.")

NamesArgument = Annotated[
    list[str], typer.Argument(metavar="ASSET...", help="Names of the files, as `api-gpu assets` lists them.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Do not ask.")]


@app.command(LIST)
def list_assets(
    context: typer.Context,
    kind: Annotated[
        str, typer.Option("--type", help="Only files of this MIME type, or kind: video, image, audio.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="Files to list.")] = 20,
    since: Annotated[datetime | None, typer.Option(help="Only files that were stored then or later, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only files that were stored before, UTC.")] = None,
    tenant: Annotated[str, typer.Option(help="Only files of this tenant, for a key with the scope admin.")] = "",
) -> None:
    """List the files at the gateway, the newest first: uploads, and results of jobs.

    `api-gpu assets` alone does it too, with the same options.
    """
    from itertools import islice

    from api_gpu.cli.tables import print_assets

    with context.obj.client() as client:
        found = client.assets(kind, since=since, until=until, tenant=tenant)
        context.obj.show(list(islice(found, limit)), print_assets)


@app.command()
def delete(context: typer.Context, names: NamesArgument, force: ForceOption = False) -> None:
    """Delete files at the gateway. A job that has not ended and needs one of them fails.

    Asks first on a terminal; elsewhere --force is needed.
    """
    from api_gpu.cli.amounts import bytes_cell
    from servicekit.errors import ServiceError

    wanted = list(dict.fromkeys(name if name.startswith(PREFIX) else PREFIX + name for name in names))
    if not force and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter("there is nobody to ask; --force deletes without", param_hint="--force")
    deleted, has_failed = [], False
    with context.obj.client() as client:
        if not force:
            found = [client.asset(name) for name in wanted]
            for asset in found:
                print(f"{asset.name}  {asset.filename}  {bytes_cell(asset.size_bytes)}", file=sys.stderr)
            what = "this file" if len(found) == 1 else f"these {len(found)} files"
            typer.confirm(f"Delete {what}? Jobs that still need it fail.", abort=True, err=True)
        for name in wanted:
            try:
                client.delete(name)
                deleted.append(name)
            except ServiceError as error:
                print(f"api-gpu: {name}: {error}", file=sys.stderr)
                has_failed = True
    context.obj.show({"deleted": deleted}, lambda _: print(*deleted, sep="\n", end="\n" if deleted else ""))
    if has_failed:
        raise typer.Exit(FAILED)

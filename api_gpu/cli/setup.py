"""The commands that prepare and examine a machine."""

from pathlib import Path
from typing import Annotated

import typer


def certs(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Option("--dir", help="Folder to write to; certs in the data folder.")] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address of the services, beside this machine's.")
    ] = None,
) -> None:
    """Make a set of certificates for a pair and a client. An existing set is kept."""
    from api_gpu.local.certs import make_set
    from api_gpu.local.data_dir import writing

    target = folder or context.obj.folder.certificates
    with writing(target):
        made = make_set(target, host or [])
    print(f"certificates are in {target}" if made else f"{target} has a set already; it is kept")


def doctor(context: typer.Context) -> None:
    """Tell what this machine can encode, and whether the gateway answers."""
    from api_gpu.local.doctor import encoder_report, gateway_report, show
    from servicekit.errors import ServiceError

    try:
        with context.obj.client() as client:
            answer = gateway_report(client, context.obj.target)
    except ServiceError as error:
        answer = f"not asked: {error.message}"
    show(encoder_report(context.obj.folder), answer)

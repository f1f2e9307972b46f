"""The commands that render one picture of what an operation would make, with the options of that operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from api_gpu.cli.job_options import taking_job_options
from api_gpu.cli.operations import (
    COLORS,
    SOURCES,
    as_command,
    flags_of,
    flags_of_operation,
    given_files,
    options_from,
    require_inputs,
)
from apigpu.options import OPERATIONS

if TYPE_CHECKING:
    from api_gpu.cli.run import Sources
    from api_gpu.client import Client
    from api_gpu.jobs import Job

NAME = "frame"
STILL = "images"
app = typer.Typer(help=f"{OPERATIONS[NAME].help} For previews.", no_args_is_help=True)


def command(name: str) -> Callable[..., None]:
    """Return the command that renders a picture of what an operation would make."""
    operation = OPERATIONS[name]
    own, flags = list(flags_of(OPERATIONS[NAME].options)), flags_of_operation(operation)
    inputs = {key: replace(each, is_many=False) for key, each in operation.inputs.items()}

    def run(
        context: typer.Context, out: Path | None = None, force: bool = False, dry_run: bool = False, **values: Any
    ) -> None:
        from api_gpu.cli.run import run_operation

        require_inputs(operation, values)
        sources, files = given_files(inputs, flags, values)
        wanted = options_from(flags, values)

        def submitted(client: Client, uploaded: Sources, options: Mapping[str, Any]) -> Job:
            requests: dict[str, Any] = {name: request_of({**uploaded, **wanted})}
            return client.frame(**requests, **options)

        options = options_from(own, values)
        run_operation(
            context.obj, NAME, sources, options, out, files, force=force, dry_run=dry_run, submitted=submitted
        )

    run.__doc__ = "\n\n".join([f"One picture of: {operation.help}", f"{SOURCES}\n{COLORS}"])
    return as_command(run, name, inputs, [*own, *flags])


def request_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of an operation; of one that takes stills, with the one that is given as its only one."""
    request = dict(values)
    if STILL in request:
        request[STILL] = [{"source": request[STILL], "seconds": request.pop("seconds", 5.0)}]
    return request


for _name in ("caption", "img2vid"):
    app.command(_name)(taking_job_options(command(_name)))

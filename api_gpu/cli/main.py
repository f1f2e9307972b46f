"""The command line `api-gpu`. What a command needs is imported by the command, so that `--help` is quick.

Exit codes: 0; 1 a job or a call failed; 2 the command or a setting is wrong, or the server is not installed; 130 ended
by Ctrl-C.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from api_gpu.cli import chain, destinations, jobs, keys, operations, probe, runpod, services, story, tenants
from api_gpu.cli.job_options import taking_job_options
from api_gpu.cli.options import (
    FAILED,
    CaOption,
    CertKeyOption,
    CertOption,
    DataDirOption,
    GatewayTarget,
    GlobalOptionsGroup,
    KeyOption,
    PortOption,
    ServerOption,
)
from api_gpu.local.data_dir import DataDir
from apigpu.options import OPERATIONS

USAGE = 2
INTERRUPTED = 130

app = typer.Typer(
    cls=GlobalOptionsGroup,
    help="Captions, Ken Burns clips and soundtracks, made by a pair of gRPC services.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    context: typer.Context,
    data_dir: DataDirOption = Path(".api-gpu"),
    server: ServerOption = None,
    grpc_port: PortOption = None,
    key: KeyOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    cert_key: CertKeyOption = None,
) -> None:
    """Options that every command takes."""
    target = server or (f"localhost:{grpc_port}" if grpc_port else None)
    context.obj = GatewayTarget(DataDir(data_dir), target, key, ca, cert, cert_key, grpc_port)


app.command()(services.up)
app.command(context_settings=services.FORWARDING, add_help_option=False)(services.gateway)
app.command(context_settings=services.FORWARDING, add_help_option=False)(services.encoder)
COMMANDS = {story.NAME: story.command, probe.NAME: probe.command}
for name in OPERATIONS:
    app.command(name)(taking_job_options(COMMANDS[name]() if name in COMMANDS else operations.command(name)))
app.command()(taking_job_options(chain.chain))
app.command()(jobs.jobs)
app.command()(jobs.watch)
app.command()(jobs.cancel)
app.command()(jobs.fleet)
app.command()(tenants.usage)
app.command()(services.certs)
app.command()(services.doctor)
app.add_typer(destinations.app, name="destinations")
app.add_typer(keys.app, name="keys")
app.add_typer(tenants.app, name="tenants")
app.add_typer(runpod.app, name="runpod")


def exit_code(error: Exception) -> int | None:
    """Print an error and return the exit code for it; None for one that is no error of ours."""
    from api_gpu.cli.run import Interrupted
    from servicekit.errors import ConfigError, ServiceError

    for kind, code in ((Interrupted, INTERRUPTED), (ServiceError, FAILED), (ConfigError, USAGE)):
        if isinstance(error, kind):
            print(f"api-gpu: {error}", file=sys.stderr)
            return code
    return None


def main() -> None:
    """Entry point."""
    try:
        app()
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        sys.exit(code)


if __name__ == "__main__":
    main()

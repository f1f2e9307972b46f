"""The command line `api-gpu`. What a command needs is imported by the command, so that `--help` is quick.

Exit codes: 0; 1 a job or a call failed; 2 the command or a setting is wrong, or the server is not installed; 130 ended
by Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

import typer

from api_gpu.cli import (
    assets,
    chain,
    destinations,
    frame,
    jobs,
    keys,
    mcp,
    operations,
    probe,
    runpod,
    services,
    story,
    tenants,
)
from api_gpu.cli.job_options import taking_job_options
from api_gpu.cli.options import (
    DATA_DIR,
    FAILED,
    CaOption,
    CertKeyOption,
    CertOption,
    DataDirOption,
    GlobalOptionsGroup,
    Invocation,
    JsonOption,
    KeyOption,
    PortOption,
    QuietOption,
    ServerOption,
    VersionOption,
    nearest_data_dir,
)
from api_gpu.local.data_dir import DataDir
from apigpu.options import OPERATIONS

USAGE = 2
INTERRUPTED = 130
# Headings of the list of commands, in their order there.
MAKING, WATCHING, SERVING, OPERATING = "Operations", "Jobs and files", "Services", "Administration"
# Commands that make a data folder where there is none take that of the current folder.
MAKES_DATA_DIR = ("up", "certs")

app = typer.Typer(
    cls=GlobalOptionsGroup,
    help="Edit videos: captions, clips of stills, soundtracks, finished films, made by a gateway and its encoders.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    context: typer.Context,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    grpc_port: PortOption = None,
    key: KeyOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    cert_key: CertKeyOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    _version: VersionOption = False,
) -> None:
    """Options that every command takes."""
    target = server or (f"localhost:{grpc_port}" if grpc_port else None)
    default = DATA_DIR if context.invoked_subcommand in MAKES_DATA_DIR else nearest_data_dir()
    folder = DataDir(data_dir or default)
    context.obj = Invocation(folder, target, key, ca, cert, cert_key, grpc_port, quiet=quiet, as_json=as_json)


COMMANDS = {story.NAME: story.command, probe.NAME: probe.command}
for name in OPERATIONS:
    if name == frame.NAME:
        app.add_typer(frame.app, name=name, rich_help_panel=MAKING)
        continue
    made = COMMANDS[name]() if name in COMMANDS else operations.command(name)
    app.command(name, rich_help_panel=MAKING)(taking_job_options(made))
app.command(rich_help_panel=MAKING)(taking_job_options(chain.chain))
Commands = tuple[Callable[..., None], ...]
watching: Commands = (jobs.jobs, jobs.show, jobs.watch, jobs.cancel, jobs.retry, jobs.log)
for command in watching:
    app.command(rich_help_panel=WATCHING)(command)
app.command("open", rich_help_panel=WATCHING)(jobs.open_result)
app.add_typer(assets.app, name="assets", rich_help_panel=WATCHING)
app.command(rich_help_panel=SERVING)(services.up)
for service in (services.gateway, services.encoder):
    app.command(rich_help_panel=SERVING, context_settings=services.FORWARDING, add_help_option=False)(service)
serving: Commands = (mcp.mcp, services.certs, services.doctor, services.config)
for command in serving:
    app.command(rich_help_panel=SERVING)(command)
operating: Commands = (jobs.fleet, tenants.usage)
for command in operating:
    app.command(rich_help_panel=OPERATING)(command)
for each, group in (("keys", keys), ("tenants", tenants), ("destinations", destinations), ("runpod", runpod)):
    app.add_typer(group.app, name=each, rich_help_panel=OPERATING)


def exit_code(error: Exception) -> int | None:
    """Print an error and return the exit code for it; None for one that is no error of ours."""
    from api_gpu.cli.run import Interrupted
    from servicekit.errors import ConfigError, ServiceError

    for kind, code in ((Interrupted, INTERRUPTED), (ServiceError, FAILED), (ConfigError, USAGE)):
        if isinstance(error, kind):
            print(f"api-gpu: {error}", file=sys.stderr)
            return code
    if isinstance(error, OSError) and error.filename is not None:  # a file that the system refuses, by whatever name
        print(f"api-gpu: {error.filename}: {error.strerror}", file=sys.stderr)
        return FAILED
    return None


def main() -> None:
    """Entry point."""
    # Names of files that are no UTF-8 are printed as they are.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    try:
        app()
    except BrokenPipeError:
        # Who read the output has gone; what is still in its buffer would be written at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        sys.exit(code)


if __name__ == "__main__":
    main()

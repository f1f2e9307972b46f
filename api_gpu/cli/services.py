"""The commands that serve."""

import os
import sys
from typing import NoReturn

import typer

from api_gpu.cli.options import GatewayTarget

# Arguments of a service are its own to judge.
FORWARDING = {"allow_extra_args": True, "ignore_unknown_options": True}


def up(context: typer.Context) -> None:
    """Serve on this machine, in the foreground: a gateway and an encoder, with certificates and a key of their own."""
    from api_gpu.local.up import UpSettings, serve

    refuse_options_of_clients(context)
    where: GatewayTarget = context.obj
    given = {"x_api_key": where.key, "grpc_port": where.grpc_port}
    settings = {name: value for name, value in given.items() if value is not None}
    raise typer.Exit(serve(UpSettings.load(data_dir=where.folder.root, **settings)))


def gateway(context: typer.Context) -> None:
    """Serve as a gateway alone; settings come from the environment."""
    become("gateway", context.args)


def encoder(context: typer.Context) -> None:
    """Serve as an encoder alone; settings come from the environment."""
    become("encoder", context.args)


def refuse_options_of_clients(context: typer.Context) -> None:
    """Raises BadParameter for an option that chooses a gateway. The environment may hold it, for other commands."""
    program = context.find_root()
    for name in ("server", "ca", "cert", "cert_key"):
        source = program.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            text = "`up` serves here, with certificates of its own; it takes --data-dir, --key and --grpc-port"
            raise typer.BadParameter(text, param_hint=f"--{name.replace('_', '-')}")


def become(module: str, arguments: list[str]) -> NoReturn:
    """Run a service in place of this process."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])

"""The commands that serve."""

import os
import sys
from typing import NoReturn

import typer

# Arguments of a service are its own to judge.
FORWARDING = {"allow_extra_args": True, "ignore_unknown_options": True}


def up(context: typer.Context) -> None:
    """Serve on this machine, in the foreground: a gateway and an encoder, with certificates and a key of their own."""
    from client.up import UpSettings, serve

    raise typer.Exit(serve(UpSettings.load(data_dir=context.obj.folder.root)))


def gateway(context: typer.Context) -> None:
    """Serve as a gateway alone; settings come from the environment."""
    become("gateway", context.args)


def encoder(context: typer.Context) -> None:
    """Serve as an encoder alone; settings come from the environment."""
    become("encoder", context.args)


def become(module: str, arguments: list[str]) -> NoReturn:
    """Run a service in place of this process."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])

"""The commands that serve, and that prepare and examine a machine."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from api_gpu.cli.options import FAILED, Invocation

BAD_SETTING = 2
# Arguments of a service are its own to judge.
FORWARDING = {"allow_extra_args": True, "ignore_unknown_options": True}
# What the extras bring, and a client does without.
SERVICE = ("cryptography", "httpx", "pydantic_settings", "starlette")
MODULES = {"gateway": (*SERVICE, "nats", "obstore"), "encoder": (*SERVICE, "av", "cv2", "imageio_ffmpeg")}


def up(context: typer.Context) -> None:
    """Serve on this machine, in the foreground: a gateway and an encoder, with certificates and a key of their own."""
    require("gateway", "encoder")
    from api_gpu.local.up import UpSettings, serve

    refuse_client_options(context)
    target: Invocation = context.obj
    options = {"x_api_key": target.key, "grpc_port": target.grpc_port}
    settings = {name: value for name, value in options.items() if value is not None}
    raise typer.Exit(serve(UpSettings.load(data_dir=target.folder.root, **settings)))


def gateway(context: typer.Context) -> None:
    """Serve as a gateway alone; settings come from the environment."""
    exec_service("gateway", context)


def encoder(context: typer.Context) -> None:
    """Serve as an encoder alone; settings come from the environment."""
    exec_service("encoder", context)


def certs(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Option("--dir", help="Folder to write to; certs in the data folder.")] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address of the services, beside this machine's.")
    ] = None,
) -> None:
    """Make a set of certificates for a pair and a client. An existing set is kept."""
    require()
    from api_gpu.local.certs import make_set
    from api_gpu.local.data_dir import writing

    target = folder or context.obj.folder.certificates
    with writing(target):
        is_new = make_set(target, host or [])
    print(f"certificates are in {target}" if is_new else f"{target} has a set already; it is kept")


def doctor(context: typer.Context) -> None:
    """Show what this machine can encode, and whether the gateway answers.

    Exits with 0 when it does, with 1 when only the gateway does not, and with 2 when a setting of the encoder is wrong.
    """
    from api_gpu.local.doctor import check_gateway, encoder_report, show

    is_well, gateway = check_gateway(context.obj)
    encoder = encoder_report(context.obj.folder) if has("encoder") else {"encoder": f"not installed; {INSTALL}"}
    show({**encoder, "gateway": gateway})
    if not is_well:
        raise typer.Exit(FAILED)


def config(context: typer.Context) -> None:
    """Show the settings that gateway and encoder would have here, as far as they are installed; secrets are masked.

    Settings come from the environment, the settings file (API_GPU_SETTINGS, or api-gpu.toml here) and, of secrets, from
    files that NAME_FILE names. Exits with 2 when one of them cannot be used.
    """
    require()
    from api_gpu.local.settings_report import problems, settings_report, show

    found = settings_report([service for service in MODULES if has(service)])
    context.obj.show(found, show)
    if wrong := problems(found):
        print(*wrong, sep="\n", file=sys.stderr)
        raise typer.Exit(BAD_SETTING)


INSTALL = 'pip install "api-gpu[server]"'


def has(service: str) -> bool:
    """Return True when the libraries of a service are installed."""
    return all(find_spec(name) is not None for name in MODULES[service])


def require(*services: str) -> None:
    """Raise ConfigError unless the libraries of the services are installed; of either, where none is named."""
    lacking = [name for name in services or MODULES if not has(name)]
    if lacking and (services or len(lacking) == len(MODULES)):
        from servicekit.errors import ConfigError

        text = f"this command needs the libraries of {' and '.join(lacking)}, which are not installed; {INSTALL}"
        raise ConfigError(text)


def refuse_client_options(context: typer.Context) -> None:
    """Raise BadParameter for an option that chooses a gateway. The environment may hold it, for other commands."""
    program = context.find_root()
    for name in ("server", "ca", "cert", "cert_key"):
        source = program.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            text = "`up` serves here, with certificates of its own; it takes --data-dir, --key and --grpc-port"
            raise typer.BadParameter(text, param_hint=f"--{name.replace('_', '-')}")


def exec_service(module: str, context: typer.Context) -> NoReturn:
    """Replace this process by a service, or print the help of the command."""
    if "--help" in context.args:
        print(context.get_help())
        raise typer.Exit
    require(module)
    from servicekit.process import module_command

    sys.stdout.flush()
    os.execv(sys.executable, module_command(module, *context.args))

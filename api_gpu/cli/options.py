"""The options of the program itself: which gateway the commands speak to, as whom, and how much they tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from api_gpu.local.data_dir import DataDir

if TYPE_CHECKING:
    from api_gpu.cli.display import Display
    from api_gpu.client import Client

T = TypeVar("T")
DATA_DIR = Path(".api-gpu")

FAILED = 1
"""Exit code of a command whose job, or a part of it, failed, or whose gateway does not answer."""

DATA_DIR_HELP = (
    "Folder of the pair on this machine; .api-gpu in the current folder, or the nearest one above it that has one."
)
DataDirOption = Annotated[Path | None, typer.Option(envvar="DATA_DIR", help=DATA_DIR_HELP)]
ServerOption = Annotated[str | None, typer.Option(envvar="API_GPU_SERVER", help="host:port of the gateway's gRPC.")]
PortOption = Annotated[int | None, typer.Option(envvar="GRPC_PORT", help="Its port, when it is on this machine.")]
KeyOption = Annotated[str | None, typer.Option(envvar="X_API_KEY", help="API key.", show_envvar=True)]
CaOption = Annotated[Path | None, typer.Option(envvar="API_GPU_CA", help="CA of the gateway (PEM).")]
CertOption = Annotated[Path | None, typer.Option(envvar="API_GPU_CERT", help="Client certificate (PEM).")]
CertKeyOption = Annotated[Path | None, typer.Option(envvar="API_GPU_CERT_KEY", help="Key of the certificate (PEM).")]
JSON_HELP = "Print what is known as JSON, for programs."
JsonOption = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress; warnings and errors all the same.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(version("api-gpu"))
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version, and end.")
]


@dataclass(frozen=True)
class Invocation:
    """How the program was called: the gateway to call, the credentials to call it with, of which None is taken from the
    data folder; and how what it finds is told."""

    folder: DataDir
    server: str | None
    key: str | None
    ca: Path | None
    certificate: Path | None
    private_key: Path | None
    grpc_port: int | None
    quiet: bool = False
    as_json: bool = False
    # Of jobs that a command makes, as Client.telling takes it.
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """host:port of the gateway's gRPC."""
        return self.server or self.folder.target()

    def client(self) -> Client:
        """Return a connected client. Raises ServiceError for certificates that cannot be used."""
        from api_gpu.client import Client
        from servicekit import secret_files

        # X_API_KEY of a gateway may hold several keys; any of them opens it.
        keys = self.key or secret_files.from_environment("X_API_KEY")
        key = keys.split(",")[0].strip() if keys else self.folder.key()
        client = Client.connect(
            self.target,
            key,
            self.ca or self._stored("ca.crt"),
            self.certificate or self._stored("client.crt"),
            self.private_key or self._stored("client.key"),
        )
        return client.telling(**self.said) if self.said else client

    def display(self) -> Display:
        """Return what shows progress on stderr."""
        from api_gpu.cli.display import open_display

        return open_display(quiet=self.quiet)

    def show(self, value: T, show: Callable[[T], object]) -> None:
        """Print a value as JSON where that is asked for, else by `show`."""
        if self.as_json:
            from api_gpu.cli.as_json import print_json

            print_json(value)
        else:
            show(value)

    def _stored(self, name: str) -> Path | None:
        """Return a file of the data folder. A named server may do without it: public authorities are trusted then."""
        path = self.folder.certificates / name
        return path if path.exists() or not self.server else None


LEFT_TO_COMMANDS = ("help", "version", "install_completion", "show_completion")


class GlobalOptionsGroup(TyperGroup):
    """A program that accepts its own options after the command too: `api-gpu jobs --server X`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ahead: list[str] = []
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
            else:
                own = self._own(word, words)
                ahead += own
                rest += [] if own else [word]
        return super().parse_args(ctx, [*ahead, *rest])

    def _own(self, word: str, words: Iterator[str]) -> list[str]:
        """Return an option of the program with its value, which is taken from `words`; nothing for any other word."""
        known = [option for option in self.params if option.name not in LEFT_TO_COMMANDS]
        options = {name: option for option in known for name in option.opts}
        if word.partition("=")[0] not in options:
            return []
        if "=" in word or getattr(options[word], "is_flag", False):
            return [word]
        value = next(words, None)
        return [] if value is None else [word, value]


def nearest_data_dir() -> Path:
    """Return the data folder of the current folder, or of the nearest one above that has one; where there is none, that
    of the current folder."""
    here = Path.cwd()
    found = (folder / DATA_DIR for folder in (here, *here.parents) if (folder / DATA_DIR).is_dir())
    return DATA_DIR if DATA_DIR.is_dir() else next(found, DATA_DIR)

"""The options of the program itself: which gateway the commands speak to, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from api_gpu.local.data_dir import DataDir

if TYPE_CHECKING:
    from api_gpu.client import Client

FAILED = 1
"""Exit code of a command whose job, or a part of it, failed, or whose gateway does not answer."""

DataDirOption = Annotated[Path, typer.Option(envvar="DATA_DIR", help="Folder of the pair on this machine.")]
ServerOption = Annotated[str | None, typer.Option(envvar="API_GPU_SERVER", help="host:port of the gateway's gRPC.")]
PortOption = Annotated[int | None, typer.Option(envvar="GRPC_PORT", help="Its port, when it is on this machine.")]
KeyOption = Annotated[str | None, typer.Option(envvar="X_API_KEY", help="API key.", show_envvar=True)]
CaOption = Annotated[Path | None, typer.Option(envvar="API_GPU_CA", help="CA of the gateway (PEM).")]
CertOption = Annotated[Path | None, typer.Option(envvar="API_GPU_CERT", help="Client certificate (PEM).")]
CertKeyOption = Annotated[Path | None, typer.Option(envvar="API_GPU_CERT_KEY", help="Key of the certificate (PEM).")]


@dataclass(frozen=True)
class GatewayTarget:
    """The gateway to call, and the credentials to call it with; None is taken from the data folder."""

    folder: DataDir
    server: str | None
    key: str | None
    ca: Path | None
    certificate: Path | None
    private_key: Path | None
    grpc_port: int | None
    # Of jobs that a command makes, as Client.telling takes it.
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """host:port of the gateway's gRPC."""
        return self.server or self.folder.target()

    def client(self) -> Client:
        """Return a connected client. Raises ServiceError for certificates that cannot be used."""
        from api_gpu.client import Client

        # X_API_KEY of a gateway may hold several keys; any of them opens it.
        key = self.key.split(",")[0].strip() if self.key else self.folder.key()
        client = Client.connect(
            self.target,
            key,
            self.ca or self._stored("ca.crt"),
            self.certificate or self._stored("client.crt"),
            self.private_key or self._stored("client.key"),
        )
        return client.telling(**self.said) if self.said else client

    def _stored(self, name: str) -> Path | None:
        """Return a file of the data folder. A named server may do without it: public authorities are trusted then."""
        path = self.folder.certificates / name
        return path if path.exists() or not self.server else None


class GlobalOptionsGroup(TyperGroup):
    """A program that accepts its own options after the command too: `api-gpu jobs --server X`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {name for option in self.params for name in option.opts if name != "--help"}
        ahead: list[str] = []
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
            elif word in own:
                value = next(words, None)
                ahead += [word, value] if value is not None else []
                rest += [word] if value is None else []
            elif word.partition("=")[0] in own:
                ahead.append(word)
            else:
                rest.append(word)
        return super().parse_args(ctx, [*ahead, *rest])

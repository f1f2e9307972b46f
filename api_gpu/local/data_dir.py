"""The data folder of a pair on one machine, in which its client finds key and certificates.

certs/      certificates, see api_gpu.local.certs
key         the API key, made at the first start
up.lock     held by the `api-gpu up` that runs here; says where it serves
logs/       gateway.log, encoder.log
work/       work folders of the encoder
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

TARGET = "localhost:50051"


@dataclass(frozen=True)
class Serving:
    """Contents of the lock file of `up`: its process id, the URL of JSON, host:port of gRPC."""

    process: int
    http: str
    grpc: str


@dataclass(frozen=True)
class DataDir:
    """Paths below one folder."""

    root: Path

    @property
    def certificates(self) -> Path:
        """Folder of the certificates."""
        return self.root / "certs"

    @property
    def key_file(self) -> Path:
        """File of the API key."""
        return self.root / "key"

    @property
    def lock_file(self) -> Path:
        """File that a running `up` holds."""
        return self.root / "up.lock"

    @property
    def logs(self) -> Path:
        """Folder of the logs."""
        return self.root / "logs"

    @property
    def work(self) -> Path:
        """Folder of the encoder's work folders."""
        return self.root / "work"

    def key(self) -> str:
        """Return the stored API key; "" when there is none."""
        try:
            return self.key_file.read_text().strip()
        except FileNotFoundError:
            return ""

    def ensure_key(self) -> str:
        """Return the stored API key, made now when there is none."""
        if not self.key():
            with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
        return self.key()

    def serving(self) -> Serving | None:
        """Return what the last `up` wrote; None when there was none."""
        try:
            return Serving(**json.loads(self.lock_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write_serving(self, serving: Serving) -> None:
        """Write for clients, and a second `up`, who serves here."""
        self.lock_file.write_text(json.dumps(asdict(serving)) + "\n")

    def target(self) -> str:
        """Return host:port of the gateway's gRPC: of the last `up`, or the default."""
        serving = self.serving()
        return serving.grpc if serving else TARGET


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise an error of the file system, while something is written in `folder`, as ConfigError."""
    try:
        yield
    except OSError as error:
        from servicekit.errors import ConfigError  # here, as `--help` needs this file too

        text = f"cannot write to {folder}: {error.filename or folder}: {error.strerror}; name a folder of your own"
        raise ConfigError(text) from error

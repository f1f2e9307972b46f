"""A temporary pair: `api-gpu up` as a child, on free ports and in a folder of its own."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from api_gpu import Client
from api_gpu.local.data_dir import DataDir
from gateway.fleet.providers.registry import PROVIDERS
from servicekit.errors import Unavailable
from servicekit.process import die_with_parent, module_command

START_SECONDS = 60.0
STOP_SECONDS = 45.0
POLL_SECONDS = 0.02
# Below those that systems give to connections, and to servers that ask for any port.
PORTS = range(10_000, 32_000)
# Settings that would tie the pair to something outside it.
OUTSIDE = {
    "ALLOWED_IPS",
    "ASSETS_URL",
    "GPU_API_KEY",
    "HOST",
    "LOGS_DIR",
    "NATS_URL",
    "OUTPUT_DIR",
    "PUBLIC_URL",
    "SESSION_TOKEN",
    "WORK_DIR",
    "X_API_KEY",
}
for provider in PROVIDERS.values():
    OUTSIDE |= provider.variables().keys()


@dataclass(frozen=True)
class Pair:
    """A running pair: URL of JSON, host:port of gRPC, the ports of health and of metrics of gateway and encoder, the
    process of `up`."""

    data_dir: Path
    http_url: str
    target: str
    health_port: int
    encoder_health_port: int
    metrics_port: int
    encoder_metrics_port: int
    process: "subprocess.Popen[bytes]"

    @property
    def key(self) -> str:
        """The API key."""
        return DataDir(self.data_dir).key()

    @property
    def certificates(self) -> Path:
        """Folder of the certificates that `up` made."""
        return DataDir(self.data_dir).certificates

    @property
    def output(self) -> str:
        """Output of `up` so far, stdout and stderr."""
        return (self.data_dir / "up.log").read_text()

    def client(self) -> Client:
        """Return a connected client; close it."""
        return Client.local(self.data_dir)

    def service(self, name: str) -> psutil.Process:
        """Return the process of `gateway` or `encoder`, which must run."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if name in child.cmdline())


@contextmanager
def running(data_dir: Path, **environment: str) -> Iterator[Pair]:
    """Run a pair, which is ended afterwards. Raises Unavailable, with the output of `up`, when it does not start."""
    pair = start(data_dir, **environment)
    try:
        wait_until_up(pair)
        yield pair
    finally:
        stop(pair)


def start(data_dir: Path, **environment: str) -> Pair:
    """Start a pair without waiting; `environment` is added to that of this process."""
    http, grpc, health, encoder, encoder_health, metrics, encoder_metrics = free_ports(7)
    own = {
        "DATA_DIR": str(data_dir),
        "PORT": str(http),
        "GRPC_PORT": str(grpc),
        "HEALTH_PORT": str(health),
        "ENCODER_PORT": str(encoder),
        "ENCODER_HEALTH_PORT": str(encoder_health),
        "METRICS_PORT": str(metrics),
        "ENCODER_METRICS_PORT": str(encoder_metrics),
    }
    inherited = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "up.log").open("wb") as log:
        child = die_with_parent(module_command("api_gpu", "up"), signal.SIGTERM)
        process = subprocess.Popen(
            child.command,
            env={**inherited, **own, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=child.preexec,
        )
    urls = f"http://localhost:{http}", f"localhost:{grpc}"
    return Pair(data_dir, *urls, health, encoder_health, metrics, encoder_metrics, process)


def wait_until_up(pair: Pair) -> None:
    """Wait until both services serve. Raises Unavailable, with the output of `up`."""
    deadline = time.monotonic() + START_SECONDS
    while "api-gpu is up" not in pair.output:
        if pair.process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"the pair does not start:\n{pair.output}", reason="NO_PAIR")
        time.sleep(POLL_SECONDS)


def stop(pair: Pair) -> None:
    """End a pair and wait for it."""
    pair.process.terminate()
    try:
        pair.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pair.process.kill()
        pair.process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that are free, and of which the system gives none to others meanwhile."""
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            # Not by `random`, which tests that run side by side may seed alike.
            port = secrets.choice(PORTS)
            with suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                ports.append(port)
    return ports

"""The services of the chaos: three nats-servers, two gateways, two encoders behind lines that can be cut, and S3."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from api_gpu.local.certs import make_set
from servicekit.process import die_with_parent
from tests.support.hook_receiver import SECRET
from tests.support.nats_cluster import NatsCluster
from tests.support.object_server import settings_of
from tests.support.relay import Relay
from tests.support.until import until_sync
from tools.pair import OUTSIDE, free_ports

KEY, ADMIN_KEY = "key-of-the-chaos", "key-of-the-admin-of-the-chaos"
START_SECONDS = 120.0
# Gateways, and encoders; and how many tasks each of these runs at once.
PAIRS, SLOTS = 2, 2


class ServiceProcess:
    """`python -m MODULE` with an environment: it can be killed, and started again. It `has_started` by what it answers
    at its port of health."""

    def __init__(self, module: str, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._command = [sys.executable, "-m", module]
        inherited = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
        self._environment = {**inherited, **environment}
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        child = die_with_parent(self._command, signal.SIGTERM)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                child.command, env=self._environment, stdout=log, stderr=log, preexec_fn=child.preexec
            )

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(60)


class Services:
    """All of them. `victims` are those that can be killed, by name."""

    def __init__(self, folder: Path, cluster: NatsCluster, object_port: int, stack: contextlib.ExitStack) -> None:
        self.folder, self.cluster = folder, cluster
        # A child that dies with its parent dies with the thread that started it: this one lasts as long as they do.
        self.starter = stack.enter_context(ThreadPoolExecutor(1))
        self.certificates = folder / "certs"
        make_set(self.certificates, ["localhost"])
        self.encoders = [self._encoder(number) for number in range(PAIRS)]
        self.relays = [stack.enter_context(Relay(f"127.0.0.1:{port}")) for port, _ in self.encoders]
        shared = self._shared(object_port)
        self.gateways = [self._gateway(number, shared) for number in range(PAIRS)]
        self.clients = [stack.enter_context(httpx.Client(base_url=url, timeout=30)) for url, _, _ in self.gateways]
        self.targets = [target for _, target, _ in self.gateways]
        self.processes = {
            **{f"encoder{number}": process for number, (_, process) in enumerate(self.encoders)},
            **{f"gateway{number}": process for number, (_, _, process) in enumerate(self.gateways)},
        }

    def start(self) -> None:
        for process in self.processes.values():
            process.start()
        for client in self.clients:
            until_sync(lambda: self._is_healthy(client), START_SECONDS)  # noqa: B023

    def stop(self) -> None:
        """End all of them as an operator would."""
        for process in self.processes.values():
            process.end(signal.SIGTERM)

    def slots(self) -> list[int]:
        """How many slots of the encoders are free, as each gateway has it; none where it does not answer."""
        found = []
        for client in self.clients:
            with contextlib.suppress(httpx.TransportError):
                encoders = client.get("/fleet", headers={"X-API-Key": KEY}).json().get("encoders", [])
                found.append(sum(each.get("slots", 0) - each.get("busy", 0) for each in encoders))
        return found

    @property
    def work_folders(self) -> list[Path]:
        """What tasks have left in the folders of the encoders, that of a spare planner excepted."""
        return [path for number in range(PAIRS) for path in (self.folder / f"encoder{number}" / "work").glob("task-*")]

    @staticmethod
    def _is_healthy(client: httpx.Client) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return client.get("/health").status_code == 200
        return False

    def _folder(self, name: str) -> Path:
        (self.folder / name).mkdir()
        return self.folder / name

    def _encoder(self, number: int) -> tuple[int, ServiceProcess]:
        folder = self._folder(f"encoder{number}")
        port, health = free_ports(2)
        environment = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "HEALTH_PORT": str(health),
            "METRICS_PORT": "0",
            "WORK_DIR": str(folder / "work"),
            "LOGS_DIR": str(folder / "logs"),
            "BATCH_SIZE": str(SLOTS),
            "CODEC": "x264",
            "TLS_CERT": str(self.certificates / "encoder.crt"),
            "TLS_KEY": str(self.certificates / "encoder.key"),
            "TLS_CA": str(self.certificates / "ca.crt"),
        }
        return port, ServiceProcess("encoder", folder, environment)

    def _shared(self, object_port: int) -> dict[str, str]:
        return {
            "HOST": "127.0.0.1",
            "X_API_KEY": KEY,
            "ADMIN_API_KEY": ADMIN_KEY,
            "KEY_PEPPER": secrets.token_hex(16),
            "NATS_URL": self.cluster.url,
            "NATS_REPLICAS": "3",
            "NATS_CONNECT_SECONDS": "60",
            "ACK_WAIT_SECONDS": "2",
            "ENCODERS": ",".join(relay.address for relay in self.relays),
            **settings_of(object_port),
            "FETCH_ALLOW_CIDRS": "127.0.0.0/8",
            "LINK_SECRET": secrets.token_hex(16),
            "WEBHOOK_SECRET": SECRET,
            "DRAIN_SECONDS": "5",
            "TLS_CERT": str(self.certificates / "gateway.crt"),
            "TLS_KEY": str(self.certificates / "gateway.key"),
            "TLS_CLIENT_CA": str(self.certificates / "client-ca.crt"),
            "ENCODER_CA": str(self.certificates / "ca.crt"),
        }

    def _gateway(self, number: int, shared: dict[str, str]) -> tuple[str, str, ServiceProcess]:
        folder = self._folder(f"gateway{number}")
        http, grpc, health = free_ports(3)
        environment = {
            **shared,
            "PORT": str(http),
            "GRPC_PORT": str(grpc),
            "HEALTH_PORT": str(health),
            "METRICS_PORT": "0",
            "PUBLIC_URL": f"http://127.0.0.1:{http}",
            "DATA_DIR": str(folder / "data"),
            "LOGS_DIR": str(folder / "logs"),
        }
        return f"http://127.0.0.1:{http}", f"localhost:{grpc}", ServiceProcess("gateway", folder, environment)

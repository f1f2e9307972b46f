"""Three nats-servers as a cluster, on free ports: any of them can be killed, and started again."""

import contextlib
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nats

from servicekit.process import die_with_parent
from tests.support.until import until_async
from tools.pair import free_ports

SERVERS = 3
CONFIG = """\
server_name: n{number}
listen: 127.0.0.1:{port}
authorization {{ token: "{token}" }}
max_payload: 8MB
jetstream {{ store_dir: "{store}", max_file_store: 1TB, sync_interval: always }}
cluster {{ name: test, listen: 127.0.0.1:{route}, routes: [{routes}] }}
"""


class NatsCluster:
    """Servers n0 to n2, whose files are in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._token = secrets.token_hex(8)
        found = free_ports(2 * SERVERS)
        self._ports, routes = found[:SERVERS], found[SERVERS:]
        every = ", ".join(f"nats://127.0.0.1:{route}" for route in routes)
        for number, (port, route) in enumerate(zip(self._ports, routes, strict=True)):
            store = folder / f"n{number}"
            text = CONFIG.format(number=number, port=port, token=self._token, store=store, route=route, routes=every)
            (folder / f"n{number}.conf").write_text(text)
        self.processes: dict[str, subprocess.Popen] = {}

    @property
    def url(self) -> str:
        return ",".join(f"nats://{self._token}@127.0.0.1:{port}" for port in self._ports)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path):
        """Start all servers, and wait until they store something together."""
        cluster = cls(folder)
        try:
            cluster.start_all()
            await cluster.until_it_stores()
            yield cluster
        finally:
            cluster.stop()

    def start_all(self) -> None:
        for number in range(SERVERS):
            self.start(f"n{number}")

    async def until_it_stores(self) -> None:
        await until_async(self.stores)

    def start(self, name: str) -> None:
        child = die_with_parent([nats_server(), "--config", str(self.folder / f"{name}.conf")])
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(child.command, stdout=log, stderr=log, preexec_fn=child.preexec)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    async def stores(self) -> bool:
        """True once the cluster has a leader of its streams."""
        with contextlib.suppress(Exception):
            async with self.connected() as stream:
                await stream.account_info()
                return True
        return False

    async def leader(self, stream: str) -> str:
        """The server that leads a stream."""
        async with self.connected() as found:
            return (await found.stream_info(stream)).cluster.leader

    @contextlib.asynccontextmanager
    async def connected(self):
        client = await nats.connect(self.url.split(","), connect_timeout=2, max_reconnect_attempts=1, error_cb=_ignored)
        try:
            yield client.jetstream(timeout=2)
        finally:
            await client.close()


async def _ignored(_: Exception) -> None:
    """Say nothing of a server that is away."""


def nats_server() -> str:
    """The program of the wheel, or that of the system."""
    return shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"

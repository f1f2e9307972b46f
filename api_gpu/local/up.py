"""`api-gpu up`: the pair on one machine, in the foreground."""

import asyncio
import fcntl
import math
import os
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr

from api_gpu.local.certs import make_set
from api_gpu.local.data_dir import DataDir, Serving, writing
from api_gpu.local.environment import encoder_environment, gateway_environment
from api_gpu.local.supervisor import ServiceFailed, ServiceProcess
from servicekit.config import ConfigError, PortOrNone, Settings
from servicekit.secret_files import SUFFIX
from servicekit.tasks import cancel_and_wait

Port = Annotated[int, Field(ge=1, le=65535)]
WILDCARDS = ("0.0.0.0", "::", "[::]")
STOP_MARGIN_SECONDS = 10.0
# `timeout` and some supervisors send a signal to the process and to its group.
ONE_SIGNAL_SECONDS = 0.5
SLOW_START_SECONDS = 20.0
POLL_SECONDS = 0.05
# Children of an `up` that was killed end soon after it, and their ports are free then.
TAKEN_SECONDS = 5.0
PROBE_OPTIONS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200))


class UpSettings(Settings):
    """Settings of `up`. The environment is passed on to the gateway, and to the encoder what it reads of it;
    certificates and addresses between the two are set here."""

    tables: ClassVar[tuple[str, ...]] = ("up", "gateway")
    own_tables: ClassVar[tuple[str, ...]] = ("up",)

    data_dir: Path = Path(".api-gpu")
    host: str = "127.0.0.1"
    port: Port = 3000
    grpc_port: Port = 50051
    health_port: Port = 50053
    encoder_port: Port = 50052
    encoder_health_port: Port | None = None
    metrics_port: PortOrNone = 9464
    encoder_metrics_port: PortOrNone | None = None
    x_api_key: SecretStr | None = None
    logs_dir: Path | None = None
    work_dir: Path | None = None
    drain_seconds: Annotated[float, Field(ge=0)] = 25.0

    @property
    def encoder_probe_port(self) -> int:
        """Health port of the encoder: when not given, the one after the gateway's."""
        return self.encoder_health_port or self.health_port + 1

    @property
    def encoder_exporter_port(self) -> int:
        """Port of the encoder's metrics: when not given, the one after the gateway's; 0 where that has none."""
        following = self.metrics_port and self.metrics_port + 1
        return following if self.encoder_metrics_port is None else self.encoder_metrics_port

    @property
    def reachable_host(self) -> str:
        """Host by which clients on this machine reach the gateway."""
        return "localhost" if self.host in ("127.0.0.1", *WILDCARDS) else self.host

    def logs_in(self, folder: DataDir) -> Path:
        """Return the folder of the logs: LOGS_DIR, or one in the data folder."""
        return self.logs_dir or folder.logs


def serve(settings: UpSettings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code. Raises ConfigError when another `up` runs in the folder, and
    when the folder cannot be written to."""
    # gRPC's fork handlers would only get in the way: every fork here becomes another program at once.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    folder = DataDir(settings.data_dir.resolve())
    with writing(folder.root):
        folder.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    host = settings.reachable_host
    serving = Serving(os.getpid(), f"http://{host}:{settings.port}", f"{host}:{settings.grpc_port}")
    with locked(folder):
        require_free_ports(settings)
        with writing(folder.root):
            folder.write_serving(serving)
            make_set(folder.certificates, [host])
            pair = LocalPair(settings, folder, serving)
        return asyncio.run(pair.run())


class LocalPair:
    """A gateway and an encoder as children, from their start to their end."""

    def __init__(self, settings: UpSettings, folder: DataDir, serving: Serving) -> None:
        self._settings = settings
        self._folder = folder
        self._serving = serving
        self._keys = settings.x_api_key.get_secret_value() if settings.x_api_key else folder.ensure_key()
        self._gateway = ServiceProcess("gateway", self._gateway_environment(), warn)
        self._encoder = ServiceProcess("encoder", self._encoder_environment(), warn)
        self._stop = asyncio.Event()
        self._signalled = -math.inf

    async def run(self) -> int:
        """Run both until a signal, or until one cannot be kept running; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        lives = [asyncio.create_task(child.keep_running()) for child in (self._encoder, self._gateway)]
        ready = asyncio.create_task(self._announce())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stop, *lives}, return_when=asyncio.FIRST_COMPLETED)
        await cancel_and_wait(ready, stop)
        seconds = self._settings.drain_seconds + STOP_MARGIN_SECONDS
        for child in (self._gateway, self._encoder):
            await child.stop(seconds)
        return _exit_code(await asyncio.gather(*lives, return_exceptions=True))

    def _gateway_environment(self) -> dict[str, str]:
        """Return what the gateway is told of ports and folders, and of the encoder beside it."""
        settings = self._settings
        return gateway_environment(
            self._folder,
            HOST=settings.host,
            PORT=str(settings.port),
            GRPC_PORT=str(settings.grpc_port),
            HEALTH_PORT=str(settings.health_port),
            METRICS_PORT=str(settings.metrics_port),
            LOGS_DIR=str(settings.logs_in(self._folder)),
            X_API_KEY=self._keys,
            ENCODERS=f"127.0.0.1:{settings.encoder_port}",
        )

    def _encoder_environment(self) -> dict[str, str]:
        settings = self._settings
        return encoder_environment(
            self._folder,
            HOST="127.0.0.1",
            PORT=str(settings.encoder_port),
            HEALTH_PORT=str(settings.encoder_probe_port),
            METRICS_PORT=str(settings.encoder_exporter_port),
            WORK_DIR=str(settings.work_dir or self._folder.work),
            LOGS_DIR=str(settings.logs_in(self._folder)),
        )

    def _on_signal(self) -> None:
        before, self._signalled = self._signalled, time.monotonic()
        if self._signalled - before < ONE_SIGNAL_SECONDS:
            return
        # Printed last: the reader may be gone, as `tee` is after Ctrl-C.
        if self._stop.is_set():
            self._gateway.kill()
            self._encoder.kill()
            warn("killing both")
            return
        self._stop.set()
        warn("ending, the gateway first; once more to kill")

    async def _announce(self) -> None:
        settings = self._settings
        probes = {self._gateway: settings.health_port, self._encoder: settings.encoder_probe_port}
        text = f"not up yet; see {settings.logs_in(self._folder)}"
        slow = asyncio.get_running_loop().call_later(SLOW_START_SECONDS, warn, text)
        try:
            for child, port in probes.items():
                host = settings.reachable_host if child is self._gateway else "localhost"
                await until_serving(f"{host}:{port}")
                child.has_served = True
        finally:
            slow.cancel()
        print(start_message(settings, self._serving, self._folder, sys.stdout.isatty()), flush=True)


def require_free_ports(settings: UpSettings) -> None:
    """Raise ConfigError for a port that somebody has: his health would be taken for that of the services here."""
    ports = {
        "PORT": (settings.host, settings.port),
        "GRPC_PORT": (settings.host, settings.grpc_port),
        "HEALTH_PORT": (settings.host, settings.health_port),
        "ENCODER_PORT": ("127.0.0.1", settings.encoder_port),
        "ENCODER_HEALTH_PORT": ("127.0.0.1", settings.encoder_probe_port),
        "METRICS_PORT": (settings.host, settings.metrics_port),
        "ENCODER_METRICS_PORT": ("127.0.0.1", settings.encoder_exporter_port),
    }
    deadline = time.monotonic() + TAKEN_SECONDS
    for name, (host, port) in ports.items():
        while error := _listen_error(host.strip("[]"), port):
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"{name}={port} cannot be listened on at {host}: {os.strerror(error.errno or 0)}; set another"
                ) from error
            time.sleep(POLL_SECONDS)


def _listen_error(host: str, port: int) -> OSError | None:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        return error
    return None


@contextmanager
def locked(folder: DataDir) -> Iterator[None]:
    """Hold the lock of the data folder. Raises ConfigError, which names the holder, when it is held."""
    with writing(folder.root):
        file = folder.lock_file.open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(_held_text(folder)) from error
        yield


def _held_text(folder: DataDir) -> str:
    serving = folder.serving()
    who = f"process {serving.process} serves {serving.http} and {serving.grpc}" if serving else "it is starting"
    return f"`api-gpu up` runs in {folder.root} already ({who}); set DATA_DIR, and other ports, for a second pair"


async def until_serving(address: str) -> None:
    """Wait until the health service at a plaintext address reports SERVING."""
    # Imported here, once the children are on their way: it takes as long as they do to start.
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with grpc.aio.insecure_channel(address, PROBE_OPTIONS) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        while True:
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass
            await asyncio.sleep(POLL_SECONDS)


def _program(name: str) -> str:
    """Return how a shell finds a program that was installed with this one: by its path where PATH does not have it."""
    path = Path(sys.executable).with_name(name)
    if shutil.which(name) or not path.exists():
        return name
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def start_message(settings: UpSettings, serving: Serving, folder: DataDir, is_terminal: bool) -> str:
    """Return where the pair serves and how to call it. Only a terminal is shown the key: a log would keep it, so that
    elsewhere the shell is told where to find it."""
    keys = settings.x_api_key
    header = _header(folder, keys, is_terminal)
    tls = " ".join(
        f"--{option} {shlex.quote(str(folder.certificates / name))}"
        for option, name in (("cacert", "ca.crt"), ("cert", "client.crt"), ("key", "client.key"))
    )
    return f"""\
api-gpu is up: JSON on {serving.http}, gRPC on {serving.grpc} (mTLS). Ctrl-C ends it.

browser  {serving.http}/ is the console, {serving.http}/docs the API
here     {_program("api-gpu")} caption video.mp4 subtitles.srt -o captioned.mp4
upload   curl -T video.mp4 -H {header} {serving.http}/assets/
JSON     curl -H {header} -H 'Content-Type: application/json' \\
           -d '{{"url_video": "assets/…", "url_srt": "assets/…"}}' {serving.http}/video/caption
gRPC     {_program("buf")} curl --protocol grpc -H {header} --reflect-header {header} \\
           {tls} \\
           -d '{{"page_size": 5}}' https://{serving.grpc}/apigpu.v1.JobService/ListJobs

certificates {folder.certificates}
key          {"X_API_KEY" if keys else folder.key_file}
logs         {settings.logs_in(folder)}"""


def _header(folder: DataDir, keys: SecretStr | None, is_terminal: bool) -> str:
    """Return the header with the key, as a word of the shell; `keys` are those that the folder does not store."""
    if is_terminal:
        text = keys.get_secret_value() if keys else folder.key()
        return shlex.quote(f"X-API-Key: {text.split(',')[0].strip()}")
    return f'"X-API-Key: {_key_by_the_shell(folder, keys)}"'


def _key_by_the_shell(folder: DataDir, keys: SecretStr | None) -> str:
    """Return what the shell finds the key by, of which X_API_KEY may hold several, with commas."""
    if not keys:
        return f"$(cat {shlex.quote(str(folder.key_file))})"
    if file := os.environ.get(f"X_API_KEY{SUFFIX}"):
        return f"$(cut -d, -f1 {shlex.quote(str(Path(file).resolve()))})"
    # One in a file of settings is for whoever reads that.
    return "${X_API_KEY%%,*}" if os.environ.get("X_API_KEY") else "…"


def warn(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def _exit_code(ends: list[BaseException | None]) -> int:
    for end in ends:
        if isinstance(end, ServiceFailed):
            warn(str(end))
            return end.code
        if end is not None:
            raise end
    return 0

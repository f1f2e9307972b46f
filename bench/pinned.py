"""A gateway and encoders that are pinned to a core each; and what two cores of this machine do at once."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api_gpu import Client
from api_gpu.local.certs import make_set
from api_gpu.local.data_dir import DataDir, Serving
from api_gpu.local.environment import encoder_environment, gateway_environment
from bench.timing import timed
from servicekit.errors import ServiceError
from servicekit.process import die_with_parent, module_command
from tools.pair import START_SECONDS, STOP_SECONDS, free_ports

CORES = (0, 1)


def has_cores() -> bool:
    """Return True where there are as many cores as encoders."""
    return len(os.sched_getaffinity(0)) >= len(CORES)


@contextlib.contextmanager
def serving(cores: Sequence[int], root: Path, **settings: str) -> Iterator[Client]:
    """A gateway, and encoders that are pinned to a core each, with these settings, until the block is left."""
    root.mkdir()
    folder = DataDir(root)
    http, grpc, health, *ports = map(str, free_ports(3 + 2 * len(cores)))
    make_set(folder.certificates, ["localhost"])
    folder.write_serving(Serving(os.getpid(), f"http://localhost:{http}", f"localhost:{grpc}"))
    own = {
        "PORT": http,
        "GRPC_PORT": grpc,
        "HEALTH_PORT": health,
        "METRICS_PORT": "0",
        "X_API_KEY": folder.ensure_key(),
    }
    encoders = dict(zip(cores, zip(ports[::2], ports[1::2], strict=True), strict=True))
    addresses = ",".join(f"127.0.0.1:{port}" for port, _ in encoders.values())
    with contextlib.ExitStack() as stack:
        for core, (port, probe) in encoders.items():
            place = {"WORK_DIR": str(root / f"work{core}"), "LOGS_DIR": str(root / f"logs{core}")}
            own_ports = {"PORT": port, "HEALTH_PORT": probe, "METRICS_PORT": "0"}
            environment = encoder_environment(folder, HOST="127.0.0.1", **own_ports, **place, **settings)
            stack.enter_context(_process(["taskset", "-c", str(core), *module_command("encoder")], environment))
        gateway = gateway_environment(folder, ENCODERS=addresses, LOGS_DIR=str(folder.logs), HOST="127.0.0.1", **own)
        stack.enter_context(_process(module_command("gateway"), gateway))
        client = stack.enter_context(Client.local(root))
        _wait_for(client, len(cores))
        yield client


@contextlib.contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    tied = die_with_parent(command)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(tied.command, env=environment, preexec_fn=tied.preexec, **quiet) as process:
        try:
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()


def _wait_for(client: Client, encoders: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ServiceError):
            if client.health().encoders == encoders:
                return
        time.sleep(0.1)
    raise TimeoutError("the encoders do not start")


def ffmpeg_gain(command: Callable[[int], Sequence[str | Path]]) -> float:
    """Return how much sooner a command, which is told its core, is done on each at once than on one after the other."""

    def run(core: int) -> None:
        subprocess.run(["taskset", "-c", str(core), *command(core)], check=True)

    alone = timed(lambda: [run(core) for core in CORES])
    with ThreadPoolExecutor(len(CORES)) as pool:
        return alone / timed(lambda: list(pool.map(run, CORES)))

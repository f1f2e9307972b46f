"""One story on one encoder that has one core, and on two of them that have one each."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api_gpu import Client, Transition
from api_gpu.local.certs import make_set
from api_gpu.local.data_dir import DataDir, Serving
from api_gpu.local.environment import encoder_environment, gateway_environment
from bench import plain
from bench.pair import Measured
from bench.timing import Row, timed
from servicekit.errors import ServiceError
from servicekit.process import die_with_parent, module_command
from tools.pair import START_SECONDS, STOP_SECONDS, free_ports

STILLS, SECONDS = 10, 5
CORES = (0, 1)


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """A story whose stills the gateway has, from its submit to its end; beside it what two cores of this machine do:
    an encode on each at once, against one after the other."""
    if len(os.sched_getaffinity(0)) < len(CORES):
        yield "two encoders of a core each", "not measured: this machine has one core", ""
        return
    stills = [folder / f"still{number}.png" for number in range(STILLS)]
    for number, still in enumerate(stills):
        plain.make_image(still, number)
    one, two = (_seconds(CORES[:count], stills, folder / f"with{count}") for count in (1, 2))
    yield "story on two encoders of a core each, against one", f"{one / two:.2f}× ({two:.1f} s)", "≥ 1.85×"
    alone = timed(lambda: [_encode(stills[0], core, folder) for core in CORES])
    with ThreadPoolExecutor(len(CORES)) as pool:
        together = timed(lambda: list(pool.map(lambda core: _encode(stills[0], core, folder), CORES)))
    yield "FFmpeg on two cores at once, against one after the other", f"{alone / together:.2f}×", ""


def _seconds(cores: Sequence[int], stills: Sequence[Path], folder: Path) -> float:
    """Seconds of the story with an encoder on each of these cores."""
    with _serving(cores, folder) as client:
        scenes = [{"image_url": client.upload(still).name, "duracao": SECONDS} for still in stills]
        transition = Transition(kind="crossfade", seconds=0.5)
        return timed(lambda: client.story(scenes, transition=transition).wait())


@contextlib.contextmanager
def _serving(cores: Sequence[int], root: Path) -> Iterator[Client]:
    """A gateway, and encoders that are pinned to a core each, until the block is left."""
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
            settings = encoder_environment(
                folder, HOST="127.0.0.1", PORT=port, HEALTH_PORT=probe, METRICS_PORT="0", **place
            )
            stack.enter_context(_process(["taskset", "-c", str(core), *module_command("encoder")], settings))
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


def _encode(still: Path, core: int, folder: Path) -> None:
    command = ["taskset", "-c", str(core), plain.FFMPEG, "-nostdin", "-v", "error", "-y", "-loop", "1", "-i", still]
    options = ["-frames:v", "240", "-s", "1920x1080", "-threads", "1"]
    subprocess.run([*command, *options, *plain.ENCODE, folder / f"core{core}.mp4"], check=True)

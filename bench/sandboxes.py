"""What shutting FFmpeg in costs, each time that it starts."""

import asyncio
import contextlib
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.pair import Measured
from bench.plain import FFMPEG
from bench.timing import Row, timed
from encoder.planning.processes import LaunchServerClient
from encoder.sandbox.sandboxes import SANDBOXES, ProcessLimits, SandboxAccess

RUNS = 15
LIMITS = ProcessLimits(60, 4 * 1024**3, 1024**3)

Took = dict[str, list[float]]


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """Milliseconds that `ffmpeg -version` takes in each sandbox that works here, started cold and by a launch
    server, as tasks start it."""
    commands: dict[str, Sequence[str]] = {"bare": (FFMPEG, "-version")}
    for name, make in SANDBOXES.items():
        try:
            command = make(LIMITS).wrap([FFMPEG, "-version"], SandboxAccess((folder,), ()))
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        commands[name] = command
    cold, warm = asyncio.run(_timed(commands, folder))
    for how, took in (("cold", cold), ("by the launch server", warm)):
        figures = ", ".join(f"{name} {statistics.median(seconds) * 1000:.0f} ms" for name, seconds in took.items())
        yield f"start of FFmpeg, by sandbox, {how}", figures, ""


async def _timed(commands: Mapping[str, Sequence[str]], folder: Path) -> tuple[Took, Took]:
    """Return the seconds of each command, cold and by a launch server, all in turn."""
    cold: Took = {name: [] for name in commands}
    warm: Took = {name: [] for name in commands}
    client = LaunchServerClient()
    async with contextlib.aclosing(client):
        await client.start()
        for _ in range(RUNS):
            for name, command in commands.items():
                cold[name].append(timed(lambda run=command: subprocess.run(run, check=True, capture_output=True)))
                warm[name].append(await _launched(client, command, folder))
    return cold, warm


async def _launched(client: LaunchServerClient, command: Sequence[str], folder: Path) -> float:
    """Return the seconds of a command that a launch server starts."""
    with Path("/dev/null").open("r+b") as nothing:
        begun = time.perf_counter()
        child = await client.launch(command, folder, (nothing.fileno(),) * 3)
        await child.ended
        return time.perf_counter() - begun

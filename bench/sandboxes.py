"""What shutting FFmpeg in costs, each time that it starts."""

import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.pair import Measured
from bench.plain import FFMPEG
from bench.timing import Row, timed
from encoder.sandbox.sandboxes import SANDBOXES, ProcessLimits, SandboxAccess

RUNS = 15
LIMITS = ProcessLimits(60, 4 * 1024**3, 1024**3)


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """Milliseconds that `ffmpeg -version` takes in each sandbox that works here."""
    commands = {"bare": (FFMPEG, "-version")}
    for name, make in SANDBOXES.items():
        try:
            command = make(LIMITS).wrap([FFMPEG, "-version"], SandboxAccess((folder,), ()))
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        commands[name] = command
    took = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            took[name].append(timed(lambda run=command: subprocess.run(run, check=True, capture_output=True)))
    figures = ", ".join(f"{name} {statistics.median(seconds) * 1000:.0f} ms" for name, seconds in took.items())
    yield "start of FFmpeg, by sandbox", figures, ""

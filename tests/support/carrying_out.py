"""Plans that are carried out here, run by run, by FFmpeg without a sandbox: for what no input brings about."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import av

from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import PipedFrames
from encoder.operations.plan import Plan
from tests.support import media


def run_all(plan: Plan, folder: Path, between: Callable[[], None] = lambda: None) -> int:
    """Carry out a plan in its folder, `between` the runs that are known and those that follow from them; return how
    many runs of FFmpeg were needed."""
    runs, is_before = 0, True
    for planned in plan.runs:
        if callable(planned) and is_before:
            between()
            is_before = False
        run = planned() if callable(planned) else planned
        if run is not None:
            _run(run, folder)
            runs += 1
    return runs


def _run(run: FfmpegRun, folder: Path) -> None:
    fed = b"".join(map(bytes, run.stdin.generate())) if isinstance(run.stdin, PipedFrames) else b""
    command = [media.FFMPEG, "-y", "-v", "error", *run.arguments]
    done = subprocess.run(command, cwd=folder, input=fed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def shorten(made: Path) -> None:
    """Take the last packet out of a file."""
    whole = made.rename(made.with_suffix(".whole"))
    with av.open(str(whole)) as opened:
        count = sum(packet.size > 0 for packet in opened.demux(video=0))
    media.run("-i", whole, "-c", "copy", "-frames:v", str(count - 1), "-f", "mp4", made)
    whole.unlink()

"""Programs on the providers' own SDKs, as child processes."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from servicekit.process import die_with_parent
from tests.support.paths import ROOT

PYTHON = {name: ROOT / ".build" / "sdks" / name / "bin" / "python" for name in ("runpod", "vastai")}
HERE = Path(__file__).resolve().parent


def environment(home: Path, **values: str) -> dict[str, str]:
    """An environment without what the machine's user has set up, and with `values`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNPOD_", "VAST_"))}
    return {**kept, "HOME": str(home), "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", **values}


@contextlib.contextmanager
def child(
    name: str, arguments: list[str], environ: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program of the SDK `name`, in a session of its own that is killed at the end; what it says goes to `log`."""
    tied = die_with_parent((str(PYTHON[name]), *arguments))
    with log.open("wb") as out:
        process = subprocess.Popen(
            tied.command,
            preexec_fn=tied.preexec,
            env=dict(environ),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        vanish(process)


def vanish(process: "subprocess.Popen[bytes]") -> None:
    """Kill a program with all that it started, as the end of its container does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

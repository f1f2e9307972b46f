"""A script in a process that has a small disk of its own: a tmpfs in a mount namespace, gone with the process."""

import subprocess
import sys
from pathlib import Path

from tests.support.missing import need, without
from tests.support.paths import ROOT

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
MOUNT = 'mount -t tmpfs -o size="$1" none "$2"'


def run(script: str, folder: Path, megabytes: int, timeout_seconds: float = 120.0) -> str:
    """Run a Python script whose `sys.argv[1]` is the folder of the disk; return its output. Fails with its errors;
    skips by name where mounting is not allowed."""
    size = f"{megabytes}m"
    need("unshare")
    if subprocess.run([*NAMESPACE, MOUNT, "sh", size, folder]).returncode:
        without("mounting in a user namespace is not allowed here")
    done = subprocess.run(
        [*NAMESPACE, f'{MOUNT} && exec "$3" -c "$4" "$2"', "sh", size, folder, sys.executable, script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout

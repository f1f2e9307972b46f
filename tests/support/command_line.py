"""The command line as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tools.pair import Pair

OWN = ("API_GPU_SERVER", "GRPC_PORT", "X_API_KEY")


def command(*arguments: object) -> list[str]:
    """`api-gpu ARGUMENTS`."""
    return [sys.executable, "-m", "api_gpu", *map(str, arguments)]


def environment(pair: Pair) -> dict[str, str]:
    """The environment in which the command line finds the pair."""
    inherited = {name: value for name, value in os.environ.items() if name not in OWN}
    return {**inherited, "DATA_DIR": str(pair.data_dir)}


def api_gpu(pair: Pair, folder: Path, *arguments: object, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run `api-gpu ARGUMENTS` in `folder` to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env={**environment(pair), **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )


def stored(pair: Pair) -> set[str]:
    """The files in the pair's asset store."""
    return {str(path) for path in (pair.data_dir / "assets").rglob("*") if path.is_file()}

"""Other languages' tools: a folder to build in, and running them."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.missing import without
from tests.support.paths import ROOT

SOURCES = Path(__file__).resolve().parent
BUILD = ROOT / ".build" / "interop"
# The environment that `make interop` sets up from interop.lock.
SDK = ROOT / ".build" / "sdks" / "interop"
BINARIES = Path(sys.executable).parent
MADE = ("bin", "gen", "node_modules", "target")
SHOWN_CHARACTERS = 8000


def sdk(program: str) -> Path:
    """A program of the environment of tools in Python; skips the test where that is not set up."""
    path = SDK / "bin" / program
    if not path.exists():
        without(f"{path} is not there; `make interop` sets it up")
    return path


def workplace(language: str) -> Path:
    """A folder below .build with the sources of a client and what earlier builds made; as deep as the sources' own,
    so that paths to the protos hold in both."""
    folder = BUILD / language
    for old in folder.glob("*"):
        if old.name not in MADE:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(SOURCES / language, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*MADE))
    return folder


def run(*command: str | Path, folder: Path, **environment: str) -> None:
    """Run a step of a build; fail the test, with what the command said, when it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        shown = shlex.join(str(part) for part in command)
        pytest.fail(f"{shown} ended with {done.returncode}:\n{done.stdout[-SHOWN_CHARACTERS:]}", pytrace=False)

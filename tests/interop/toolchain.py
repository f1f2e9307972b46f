"""Other languages' tools: a folder to build in, and running them."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.missing import need, without
from tests.support.paths import ROOT

SOURCES = Path(__file__).resolve().parent
BUILD = ROOT / ".build" / "interop"
# Packages that are published for users.
PACKAGES = ROOT / "clients"
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


def workplace(language: str, sources: Path = SOURCES, build: Path = BUILD) -> Path:
    """A folder in `build` with the sources of a client and what earlier builds made; as deep as the sources' own, so
    that paths to the protos hold in both."""
    folder = build / language
    for old in folder.glob("*"):
        if old.name not in MADE:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(sources / language, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*MADE))
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


def package(name: str) -> Path:
    """A folder below .build with one of the packages in clients/, and what its lock names installed."""
    folder = workplace(name, PACKAGES, ROOT / ".build")
    npm_ci(folder)
    return folder


def npm_ci(folder: Path) -> None:
    """Install what a lock of npm names; skips the test where a machine has no Node, or no way to its registry."""
    need("node", "npm")
    # What is kept of the registry may be older than the lock.
    for source in ("--prefer-offline", "--prefer-online"):
        command = ["npm", "ci", source, "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode == 0:
            return
    without(f"npm cannot install the packages of {folder.name}: {done.stderr[-300:]}")


def packed(folder: Path) -> tuple[Path, set[str]]:
    """The tarball that `npm pack` makes of a package, and the files in it."""
    command = ["npm", "pack", "--json", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    (told,) = json.loads(done.stdout)
    return folder / told["filename"], {file["path"] for file in told["files"]}

"""`make setup`, and so `make demo`, tells what it installs and how far it is: pip itself, on a lock of one package."""

import base64
import functools
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

NAME, VERSION = "tiny", "1.0"
INFO = f"{NAME}-{VERSION}.dist-info"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A package of one module."""
    path = tmp_path / "wheels" / f"{NAME}-{VERSION}-py3-none-any.whl"
    path.parent.mkdir()
    files = {
        f"{NAME}.py": f"# {'x' * 2000}\n",
        f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for name, text in files.items()
    }
    record = "".join(f"{name},sha256={digests[name]},{len(text)}\n" for name, text in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (*files.items(), (f"{INFO}/RECORD", f"{record}{INFO}/RECORD,,\n")):
            archive.writestr(name, text)
    return path


@pytest.fixture
def index(wheel: Path) -> Iterator[str]:
    """Where pip finds the package."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(wheel.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def installed(lock: Path, index: str, target: Path) -> "subprocess.CompletedProcess[str]":
    """Install a lock to a folder, from nowhere but the index."""
    own = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": index, "PIP_TARGET": str(target), "PIP_NO_CACHE_DIR": "1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [sys.executable, "-m", "tools.install", str(lock)]
    return subprocess.run(
        command, cwd=ROOT, env={**inherited, **own, "PIP_CONFIG_FILE": os.devnull}, capture_output=True, text=True
    )


def test_each_package_is_told_as_it_comes(wheel: Path, index: str, tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text(f"{NAME}=={VERSION} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    done = installed(lock, index, tmp_path / "target")
    assert done.returncode == 0, done.stdout + done.stderr
    first, *steps = done.stdout.splitlines()
    assert first.startswith(f"installing the 1 packages of {lock} into ")
    assert [step.split(",")[0].strip() for step in steps] == [f"package 1 of 1 at most: {NAME}", "unpacking 1 packages"]
    assert (tmp_path / "target" / f"{NAME}.py").is_file()


def test_where_pip_fails_its_own_words_are_told(wheel: Path, index: str, tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text(f"{NAME}=={VERSION} --hash=sha256:{'0' * 64}\n")
    failed = installed(lock, index, tmp_path / "target")
    assert failed.returncode == 1
    assert "DO NOT MATCH THE HASHES" in failed.stderr
    assert failed.stderr.rstrip().endswith("pip failed with code 1")

"""The guard that names the test which leaves something open."""

import subprocess
import sys

from tests.support.paths import ROOT

TESTS = """
import socket

class Socket(socket.socket):
    pass

def test_leaves_a_socket_open():
    forgotten = Socket()
    forgotten.itself = forgotten  # a circle, which only a collection ends

def test_comes_next():
    pass
"""
OPTIONS = ["-p", "tests.support.left_open", "-p", "no:randomly", "-p", "no:asyncio", "-W", "error", "-rA"]


def test_the_test_that_leaves_a_socket_open_is_the_one_that_fails(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", *OPTIONS, "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR ")]
    assert [line.partition(" - ")[0].rpartition("::")[2] for line in errors] == ["test_leaves_a_socket_open"], (
        done.stdout + done.stderr
    )
    assert "2 passed, 1 error" in done.stdout

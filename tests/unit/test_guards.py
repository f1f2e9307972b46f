"""The guard that holds unit tests to their own process."""

import socket
import subprocess
import sys

import grpc
import pytest


def listen():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))


def connect():
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", 1))


def start_a_process():
    subprocess.run([sys.executable, "--version"])


@pytest.mark.parametrize(
    ("event", "attempt"),
    [("socket.bind", listen), ("socket.connect", connect), ("subprocess.Popen", start_a_process)],
)
def test_a_unit_test_may_not_leave_its_process(stay_in_this_process, event, attempt):
    with pytest.raises(RuntimeError, match=event):
        attempt()
    assert [noted.partition("(")[0] for noted in stay_in_this_process] == [event]
    stay_in_this_process.clear()


def test_a_unit_test_has_no_server_of_grpc():
    with pytest.raises(AttributeError):
        grpc.aio.server()

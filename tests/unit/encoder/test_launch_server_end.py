"""The end of the launch server: none of what it started is left to run because another takes its time to end."""

import json
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from encoder.sandbox.launch_server import LaunchServer


@pytest.fixture
def signals() -> Iterator[None]:
    """Put back what a server sets for its process."""
    handler, descriptor = signal.getsignal(signal.SIGCHLD), signal.set_wakeup_fd(-1)
    yield
    signal.signal(signal.SIGCHLD, handler)
    signal.set_wakeup_fd(descriptor)


@pytest.mark.usefixtures("signals")
def test_all_are_killed_before_one_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    processes, done = iter((101, 102)), []

    def wait(process: int, options: int) -> tuple[int, int]:
        if not options:
            done.append(("wait", process))
        return 0, 0

    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for number in (1, 2):
        near.send(json.dumps({"launch": number, "kill": None, "waits": False}).encode())
    near.shutdown(socket.SHUT_WR)
    with monkeypatch.context() as patch, near, far:
        patch.setattr(os, "fork", lambda: next(processes))
        patch.setattr(os, "killpg", lambda process, _: None)
        patch.setattr(os, "kill", lambda process, _: done.append(("kill", process)))
        patch.setattr(os, "waitpid", wait)
        LaunchServer(far).run()
    assert done == [("kill", 101), ("kill", 102), ("wait", 101), ("wait", 102)]

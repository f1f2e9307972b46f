"""Hold the unit tests to this process: what opens a socket or starts a process belongs in tests/integration."""

import sys
import threading
from collections.abc import Iterator

import grpc
import pytest

FORBIDDEN = (  # audit events
    *("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendto"),
    *("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"),
)
_attempts: list[str] | None = None


def _refuse(event: str, arguments: object) -> None:
    if _attempts is not None and event in FORBIDDEN and threading.current_thread() is threading.main_thread():
        _attempts.append(f"{event}{arguments!r}"[:200])
        raise RuntimeError(f"a unit test may not do this: {event}")


sys.addaudithook(_refuse)  # none can be removed again; it is idle outside of unit tests


@pytest.fixture(autouse=True)
def stay_in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Fail the test that opens a socket or starts a process, also where the code under test swallows the refusal.

    Yield the attempts, of which none may be left at the end.
    """
    global _attempts
    for module in (grpc, grpc.aio):  # gRPC's sockets are its own, of which Python hears nothing
        monkeypatch.delattr(module, "server")
    attempts = _attempts = []
    try:
        yield attempts
    finally:
        _attempts = None
    assert attempts == []

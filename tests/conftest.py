"""Hold for all tests: one pair started as a user starts it, signals as a terminal leaves them, nothing left open."""

import signal
from collections.abc import Iterator

import pytest
import structlog

from tests.support.left_open import pytest_collection_finish, pytest_runtest_teardown
from tests.support.order import pytest_collection_modifyitems
from tools.pair import Pair, free_ports, running

__all__ = ["pair", "pytest_collection_finish", "pytest_collection_modifyitems", "pytest_runtest_teardown"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts what it puts in the background with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# structlog's own default draws tracebacks by rich: a second of the event loop each, on a busy machine.
structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f"),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


# Of the operator of the pair.
ADMIN_KEY = "an admin's key of these tests"


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A gateway and an encoder under `api-gpu up`, on free ports, allowed to fetch from this machine."""
    settings = {"FETCH_ALLOW_CIDRS": "127.0.0.0/8,::1/128", "ADMIN_API_KEY": ADMIN_KEY}
    with running(tmp_path_factory.mktemp("pair"), **settings) as running_pair:
        yield running_pair


@pytest.fixture
def unused_tcp_port() -> int:
    """In place of that of pytest-asyncio, whose port the system may give to somebody else meanwhile."""
    return free_ports(1)[0]

"""Hold for all tests: one pair started as a user starts it, signals as a terminal leaves them, nothing left open."""

import signal
from collections.abc import Iterator

import pytest

from tests.support.left_open import pytest_collection_finish, pytest_runtest_teardown
from tools.pair import Pair, running

__all__ = ["pair", "pytest_collection_finish", "pytest_runtest_teardown"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts what it puts in the background with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A gateway and an encoder under `api-gpu up`, on free ports, allowed to fetch from this machine."""
    with running(tmp_path_factory.mktemp("pair"), FETCH_ALLOW_CIDRS="127.0.0.0/8,::1/128") as running_pair:
        yield running_pair

"""What all end-to-end tests share: one pair, started as a user starts it."""

from collections.abc import Iterator

import pytest

from tools.pair import Pair, running


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A gateway and an encoder under `api-gpu up`, on free ports, allowed to fetch from this machine."""
    with running(tmp_path_factory.mktemp("pair"), FETCH_ALLOW_CIDRS="127.0.0.0/8,::1/128") as running_pair:
        yield running_pair

"""A real nats-server for what is kept of the fleet."""

import pytest

from gateway.engine.nats import Engine


@pytest.fixture
async def engine(tmp_path):
    made = await Engine.open("", tmp_path / "nats", connect_seconds=10)
    yield made
    await made.close()

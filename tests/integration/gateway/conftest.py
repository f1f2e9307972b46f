"""A real nats-server for the tests of this folder."""

import pytest

from gateway.jetstream.connection import JetStream


@pytest.fixture
async def jetstream(tmp_path):
    made = await JetStream.open("", tmp_path / "nats", connect_seconds=60)
    yield made
    await made.close()

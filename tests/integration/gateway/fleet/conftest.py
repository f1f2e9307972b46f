"""What is kept of the fleet, on the real nats-server of this folder's tests."""

import pytest


@pytest.fixture
async def records(jetstream):
    return await jetstream.key_value("fleet")

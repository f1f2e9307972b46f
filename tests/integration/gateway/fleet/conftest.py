"""What is kept of the fleet, on the real nats-server of this folder's tests."""

import pytest


@pytest.fixture
async def records(engine):
    return await engine.key_value("fleet")

"""A store in a folder, as most gateways have it."""

import pytest

from gateway.assets.store import AssetStore

MAX_BYTES = 8 * 1024 * 1024


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "assets here"


@pytest.fixture
def store(folder):
    return AssetStore(str(folder), retention_seconds=3600, max_bytes=MAX_BYTES)

"""What several of these tests need."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.interop.contract import make_inputs
from tests.interop.toolchain import run, workplace
from tests.support.browser import chromium
from tests.support.missing import need
from tools.pair import Pair


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A video and its subtitles."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def rules() -> Path:
    """The source of axe-core."""
    need("npm")
    folder = workplace("console")
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    return folder / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def http(pair: Pair) -> Iterator[httpx.Client]:
    """A client with the key of the pair."""
    with httpx.Client(base_url=pair.http_url, headers={"x-api-key": pair.key}, timeout=120) as client:
        yield client

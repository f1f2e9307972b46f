"""What several of these tests need."""

from pathlib import Path

import pytest

from tests.interop.contract import make_inputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A video and its subtitles."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))

"""What several of these tests need."""

from pathlib import Path

import pytest

from tests.interop.contract import make_inputs
from tests.interop.toolchain import BINARIES, need, run, workplace


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A video and its subtitles."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def go_programs() -> Path:
    """Folder of the programs in go/: apigpu, the client, and probe."""
    need("go")
    folder = workplace("go")
    run(BINARIES / "buf", "generate", folder=folder)
    run("go", "build", "-o", "bin/", ".", "./probe", folder=folder)
    return folder / "bin"

"""The stand-in as fixtures. Another folder's conftest takes them by importing both names."""

from pathlib import Path

import pytest

from tests.nvdriver.build import Missing, built
from tests.nvdriver.driver import Driver
from tests.support.missing import without


@pytest.fixture(scope="session")
def nvdriver_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the libraries, built once per run."""
    folder = tmp_path_factory.getbasetemp() / "nvdriver"
    if folder.exists():  # built for another folder's fixture of the same run
        return folder
    try:
        return built(folder)
    except Missing as reason:
        without(f"the stand-in for NVIDIA's driver cannot be built: {reason}")


@pytest.fixture
def nvdriver(nvdriver_libraries: Path, tmp_path: Path) -> Driver:
    """A driver with a log and settings of its own."""
    return Driver(nvdriver_libraries, tmp_path / "nvdriver.log", tmp_path / "nvdriver.control")

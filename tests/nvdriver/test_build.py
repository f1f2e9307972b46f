"""What building says where it cannot."""

from pathlib import Path

import pytest

from tests.nvdriver import build
from tests.nvdriver.build import Missing, built

pytestmark = pytest.mark.nvenc


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match="apt-get install gcc"):
        built(tmp_path)


def test_a_missing_header_is_named(nvdriver_libraries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "HEADERS", {"x266.h": "libx266-dev"})
    with pytest.raises(Missing, match=r"x266\.h is missing: apt-get install libx266-dev"):
        built(tmp_path)

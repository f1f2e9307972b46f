"""A pytest plugin that begins with the tests that take longest: short ones keep all workers busy at the end."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
# Folders of files that take minutes, then those of files that take seconds.
LONGEST_FIRST = ("e2e", "integration/api_gpu", "integration/encoder", "chaos", "integration")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests by their folder; else their order stays."""
    items.sort(key=lambda item: _rank(item.path.relative_to(TESTS).as_posix()))


def _rank(path: str) -> int:
    found = (rank for rank, folder in enumerate(LONGEST_FIRST) if path.startswith(f"{folder}/"))
    return next(found, len(LONGEST_FIRST))

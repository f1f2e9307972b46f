"""What a test needs from outside this project: programs, and what a machine allows."""

import os
import shutil
from typing import NoReturn

import pytest


def need(*programs: str) -> None:
    """Skip the test by the name of a program that is not installed; with REQUIRE_ALL=1 fail it."""
    for program in programs:
        if shutil.which(program) is None:
            without(f"{program} is not installed")


def without(reason: str) -> NoReturn:
    """Skip the test for want of something outside this project; with REQUIRE_ALL=1, as in CI, fail it."""
    (pytest.fail if os.environ.get("REQUIRE_ALL") == "1" else pytest.skip)(reason)

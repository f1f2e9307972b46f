"""Encoders that find the stand-in for NVIDIA's driver."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.nvdriver.driver import Driver
from tests.nvdriver.fixtures import nvdriver, nvdriver_libraries
from tests.support import encoder_harness

__all__ = ["nvdriver", "nvdriver_libraries"]

NvencEncoder = Callable[..., AbstractContextManager[encoder_harness.Encoder]]


@pytest.fixture
def driver(nvdriver: Driver) -> Driver:
    """A driver of the test's own, without faults."""
    return nvdriver


@pytest.fixture
def nvenc_encoder(certs: Path, tmp_path: Path) -> NvencEncoder:
    """Starts encoders: `with nvenc_encoder(driver, CODEC="nvenc") as encoder`. Settings are those of the encoder."""

    @contextlib.contextmanager
    def started(driver: Driver, **settings: object) -> Iterator[encoder_harness.Encoder]:
        with encoder_harness.running(certs, tmp_path, {**driver.environment(), **settings}) as encoder:
            yield encoder

    return started

"""The pair that is measured."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from api_gpu import Client
from servicekit.errors import ServiceError
from tools import pair, scratch


@dataclass(frozen=True)
class Measured:
    """A running pair: a client of it, seconds from its start to the first answered call with an encoder, the gateway's
    process."""

    client: Client
    start_seconds: float
    gateway: psutil.Process


@contextlib.contextmanager
def running() -> Iterator[Measured]:
    """Start a pair of its own and end it with the block."""
    with scratch.folder("bench") as folder:
        begun = time.perf_counter()
        started = pair.start(folder, LOG_LEVEL="warning")
        try:
            seconds = _until_ready(started, begun)
            pair.wait_until_up(started)
            with started.client() as client:
                yield Measured(client, seconds, started.service("gateway"))
        finally:
            pair.stop(started)


def _until_ready(started: pair.Pair, begun: float) -> float:
    while time.perf_counter() - begun < pair.START_SECONDS:
        with contextlib.suppress(ServiceError, FileNotFoundError), Client.local(started.data_dir) as client:
            while client.health().encoders == 0:
                time.sleep(0.02)
            return time.perf_counter() - begun
        time.sleep(0.02)
    raise TimeoutError(f"the pair does not start:\n{started.output}")

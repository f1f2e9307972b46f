"""What a unary call costs the gateway as JSON, and as gRPC: processor time, in turn, at the log level of production."""

import http.client
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench import plain
from bench.pair import Measured
from bench.timing import Row
from tools import pair as pairs

CALLS = 500
RUNS = 7
MICROSECONDS = 1e6


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """Processor microseconds of the gateway for one call: of a finished job, and of its health."""
    # The pair of the other parts logs less, and limits how often a key may call.
    with pairs.running(folder / "pair", LOG_LEVEL="info", RATE_LIMIT_PER_MINUTE="0") as pair, pair.client() as client:
        video, srt = folder / "small.mp4", folder / "small.srt"
        plain.make_video(video, 0.4, "64x64")
        srt.write_text("1\n00:00:00,000 --> 00:00:00,400\nHi\n")
        job = client.caption(video, srt).wait().id
        gateway = pair.service("gateway")
        calls = {"a job read": (f"/job/{job}", lambda: client.get(job)), "health": ("/health", client.health)}
        for name, (path, by_grpc) in calls.items():
            yield f"{name}, as JSON against gRPC", _compared(gateway, _by_json(pair, path), by_grpc), "≤ 1.25×"


def _by_json(pair: pairs.Pair, path: str) -> Callable[[], object]:
    connection = http.client.HTTPConnection(urlsplit(pair.http_url).netloc)

    def call() -> None:
        connection.request("GET", path, headers={"X-API-Key": pair.key})
        response = connection.getresponse()
        response.read()
        assert response.status == 200

    return call


def _compared(gateway: psutil.Process, by_json: Callable[[], object], by_grpc: Callable[[], object]) -> str:
    for call in (by_json, by_grpc):
        _cost(gateway, call)
    costs = [(_cost(gateway, by_json), _cost(gateway, by_grpc)) for _ in range(RUNS)]
    ratio = statistics.median(a / b for a, b in costs)
    mine, theirs = (statistics.median(side) for side in zip(*costs, strict=True))
    return f"{ratio:.2f}× ({mine:.0f} µs against {theirs:.0f} µs)"


def _cost(gateway: psutil.Process, call: Callable[[], object]) -> float:
    """Return the processor microseconds of the gateway for one call, as the mean of many."""
    before = _spent(gateway)
    for _ in range(CALLS):
        call()
    return (_spent(gateway) - before) / CALLS * MICROSECONDS


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)

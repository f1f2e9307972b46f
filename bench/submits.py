"""Jobs that are submitted: over gRPC and as JSON, and 10,000 of them that wait, and are drained."""

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from apigpu.v1 import jobs_pb2, video_pb2
from apigpu.v1.jobs_pb2_grpc import JobServiceStub
from bench.pair import Measured
from bench.scale_world import SimulatedEncoder, world
from bench.timing import Row
from bench.watchers import paused_encoder, seconds
from servicekit.tls import Identity
from tools import pair as pairs

SUBMITS = 1000
QUEUED = 10_000
IDLE_SECONDS = 30.0
DRAINERS, TASK_SECONDS = 100, 0.05
MIB = 1024**2


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """Submits a second of one caller by the clock, processor time of the gateway for each, and memory; then what
    10,000 queued jobs take while they wait, and until all have ended, on simulated encoders."""
    with pairs.running(folder / "pair", LOG_LEVEL="warning", RATE_LIMIT_PER_MINUTE="0") as pair, paused_encoder(pair):
        source = folder / "source"
        source.write_bytes(b"never looked at")
        with pair.client() as client:
            asset = client.upload(source).name
        gateway = pair.service("gateway")
        for name, submit in (("gRPC", _by_grpc(pair, asset)), ("JSON", _by_json(pair, asset))):
            submit()
            before, begun, clock = gateway.memory_info().rss, seconds(gateway), time.perf_counter()
            for _ in range(SUBMITS):
                submit()
            a_second = SUBMITS / (time.perf_counter() - clock)
            ms = 1000 * (seconds(gateway) - begun) / SUBMITS
            grown = (gateway.memory_info().rss - before) / MIB
            shown = f"{a_second:.0f} a second, {ms:.2f} ms of processor time, {grown:.1f} MiB for {SUBMITS}"
            yield f"submits by {name}, one after the other", shown, ""
    (folder / "queued").mkdir()
    waiting, draining = asyncio.run(queued(folder / "queued"))
    yield f"{QUEUED:,} queued jobs, while they wait", f"{waiting:.2%} of a core", ""
    yield (
        f"{QUEUED:,} queued jobs, until all have ended",
        f"{1000 * draining / QUEUED:.2f} ms of processor time each",
        "",
    )


async def queued(folder: Path, jobs: int = QUEUED, idle_seconds: float = IDLE_SECONDS) -> tuple[float, float]:
    """Return the share of a core that queued jobs take, and the seconds of the processor until all have ended."""
    async with world(folder, 0, TASK_SECONDS) as there:
        index = there.manager.store.index
        for _ in range(0, jobs, 100):
            await asyncio.gather(*(there.one() for _ in range(min(100, jobs))))
        before = there.server.count()
        await asyncio.sleep(idle_seconds)
        idle = there.server.count() - before
        for number in range(DRAINERS):
            there.pool.add(SimulatedEncoder(f"drainer-{number}", TASK_SECONDS, 1))
        while index.tasks_waiting or index.tasks_running:
            await asyncio.sleep(0.1)
        drained = there.server.count() - before
    return idle.gateway_seconds / idle.at, drained.gateway_seconds - idle.gateway_seconds


def _by_grpc(pair: pairs.Pair, asset: str) -> Callable[[], object]:
    certs = pair.certificates
    identity = Identity.read(certs / "client.crt", certs / "client.key", certs / "ca.crt")
    service = JobServiceStub(grpc.secure_channel(pair.target, identity.channel_credentials()))
    request = jobs_pb2.SubmitJobRequest(
        operation=video_pb2.Operation(thumbnail=video_pb2.ThumbnailRequest(url_video=asset))
    )
    return lambda: service.SubmitJob(request, metadata=(("x-api-key", pair.key),))


def _by_json(pair: pairs.Pair, asset: str) -> Callable[[], object]:
    connection = http.client.HTTPConnection(urlsplit(pair.http_url).netloc)
    body = json.dumps({"thumbnail": {"url_video": asset}})
    headers = {"X-API-Key": pair.key, "Content-Type": "application/json"}

    def submit() -> None:
        connection.request("POST", "/jobs", body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status in (200, 202), response.status

    return submit

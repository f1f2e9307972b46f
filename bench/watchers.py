"""What clients that follow jobs cost the gateway: while nothing happens, and while others submit."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil

from apigpu.v1 import jobs_pb2, video_pb2
from apigpu.v1.jobs_pb2_grpc import JobServiceStub
from bench.pair import Measured
from bench.timing import Row
from servicekit.tls import Identity
from tools import pair as pairs

WATCHERS, SUBMITS = 1000, 100
# One client alone has nine slots of ten.
CALLS = 2 * WATCHERS
MIB = 1024**2
IDLE_SECONDS = 12.0


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """Shares of a core while nothing happens, and processor time of submits, with watchers of one queued job, and of
    as many jobs; against none."""
    settings = {"LOG_LEVEL": "warning", "RATE_LIMIT_PER_MINUTE": "0", "MAX_CONCURRENT_CALLS": str(CALLS)}
    with pairs.running(folder / "pair", **settings) as pair, paused_encoder(pair):
        with pair.client() as client:
            source = folder / "source"
            source.write_bytes(b"never looked at")
            asset = client.upload(source).name
        wanted = video_pb2.Operation(thumbnail=video_pb2.ThumbnailRequest(url_video=asset))
        _, alone, _ = asyncio.run(measure(pair, wanted, 0))
        for name, jobs in (("of one job", 1), ("of as many jobs", WATCHERS)):
            idle, submit, held = asyncio.run(measure(pair, wanted, jobs))
            yield f"{WATCHERS} watchers {name}, nothing happens", f"{idle:.1%} of a core", "< 10 %"
            yield f"{WATCHERS} watchers {name}, a submit", f"{submit / alone:.2f}× ({submit * 1000:.1f} ms)", "< 2×"
            yield f"{WATCHERS} watchers {name}, memory", f"{held / MIB:.0f} MiB", ""


@contextlib.contextmanager
def paused_encoder(pair: pairs.Pair) -> Iterator[None]:
    """Have no task begin while the block runs."""
    encoder = pair.service("encoder")
    encoder.suspend()
    try:
        yield
    finally:
        encoder.resume()


async def measure(pair: pairs.Pair, wanted: video_pb2.Operation, jobs: int) -> tuple[float, float, int]:
    """Return the gateway's share of a core while WATCHERS follow so many jobs, its seconds for each submit, and the
    bytes that the watches take."""
    certs, key = pair.certificates, (("x-api-key", pair.key),)
    identity, gateway = (
        Identity.read(certs / "client.crt", certs / "client.key", certs / "ca.crt"),
        pair.service("gateway"),
    )
    async with grpc.aio.secure_channel(pair.target, identity.channel_credentials()) as channel:
        service = JobServiceStub(channel)

        async def submit() -> str:
            answer = await service.SubmitJob(jobs_pb2.SubmitJobRequest(operation=wanted), metadata=key)
            return str(answer.job.id)

        followed = [await submit() for _ in range(jobs)]
        requests = [jobs_pb2.WatchJobRequest(id=followed[n % jobs]) for n in range(WATCHERS if jobs else 0)]
        held = gateway.memory_info().rss
        watches = [service.WatchJob(request, metadata=key) for request in requests]
        for watch in watches:
            await watch.read()
        reading = [asyncio.create_task(drain(watch)) for watch in watches]
        await asyncio.sleep(1)
        held = gateway.memory_info().rss - held
        begun = seconds(gateway)
        await asyncio.sleep(IDLE_SECONDS)
        idle = (seconds(gateway) - begun) / IDLE_SECONDS
        begun = seconds(gateway)
        submitted = [await submit() for _ in range(SUBMITS)]
        await asyncio.sleep(1)
        taken = (seconds(gateway) - begun - idle) / SUBMITS
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        for job in (*followed, *submitted):
            await service.CancelJob(jobs_pb2.CancelJobRequest(id=job), metadata=key)
    return idle, taken, held


async def drain(watch: object) -> None:
    """Read a watch to its end."""
    async for _ in watch:  # type: ignore[attr-defined]
        pass


def seconds(process: psutil.Process) -> float:
    """Return the processor seconds of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)

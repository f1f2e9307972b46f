"""`make scale`: what jobs take of messages, writes, bytes and processor time, measured with simulated encoders and held
to the arithmetic of docs/scale.md; then its tables. `python -m bench.scale ENCODERS …` takes other numbers of them."""

import asyncio
import logging
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from rich.console import Console
from rich.table import Table

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from bench import scale_model
from bench.scale_model import Figures, Site
from bench.scale_world import ACK_WAIT_SECONDS, Count, World, world
from tools import scratch

# So many jobs each, at about so many a second.
JOBS_OF_ENCODER, JOBS_PER_SECOND = 3, 25.0
MIN_JOBS = 300
REPORTS = 4
FOLLOWERS = 2
IDLE_SECONDS = 10.0
POLLS = 2000
# Messages and writes are counted, and the rest is chance: of the clock, and of polls between them.
CLOSE = 0.15

# On two cores of a shared virtual machine (x86-64, Python 3.11, nats-server 2.15), by `make scale` and `make bench`.
MEASURED = Figures(
    job_ms=6.0,
    followed_ms=0.5,
    poll_ms=0.5,
    sent_ms=0.06,
    server_ms=2.5,
    record_bytes=727,
    stored_bytes=823,
    index_bytes=800,
    watcher_bytes=52 * 1024,
)


@dataclass(frozen=True)
class Run:
    """What came of so many jobs of so many tasks each."""

    encoders: int
    jobs: int
    tasks: int
    task_seconds: float
    followers: int
    counted: Count
    record_bytes: float

    def expected_to_server(self) -> float:
        """Return the messages to the store that the arithmetic has, at most."""
        running_seconds = self.jobs * self.tasks * self.task_seconds
        sent = scale_model.requests(self.tasks) + scale_model.progress_messages(self.tasks, REPORTS)
        return self.jobs * sent + scale_model.heartbeats(running_seconds, ACK_WAIT_SECONDS)

    def expected_from_server(self) -> float:
        """Return the messages from the store that the arithmetic has, at most."""
        told = scale_model.watched_messages(self.tasks, 1 + self.followers)
        return self.jobs * (scale_model.requests(self.tasks) + told)

    def spared(self) -> float:
        """Return the messages of either way that there need not be: of reads of records that were seen just before."""
        return self.jobs * scale_model.spared_requests(self.tasks)

    def per_job(self, count: float) -> float:
        """Return how much of something came of a job."""
        return count / self.jobs


async def measured(
    encoders: int, jobs: int, folder: Path, *, followers: int = 0, images: int = 0, task_seconds: float | None = None
) -> Run:
    """Return what came of so many jobs, batches where there are `images`."""
    seconds = encoders / JOBS_PER_SECOND if task_seconds is None else task_seconds
    async with world(folder, encoders, seconds, reports=REPORTS, followers=followers) as there:
        before = there.server.count()
        await (there.many(jobs) if not images else _batches(there, jobs, images))
        counted = there.server.count() - before
        return Run(encoders, jobs, images or 1, seconds, followers, counted, there.server.record_bytes())


async def _batches(there: World, jobs: int, images: int) -> None:
    for job in [await there.batch(images) for _ in range(jobs)]:
        await there.ended(job)


async def idle(encoders: int, folder: Path) -> float:
    """Return the share of a core that simulated encoders take while there is nothing to do."""
    async with world(folder, encoders, 1.0) as there:
        before = there.server.count()
        await asyncio.sleep(IDLE_SECONDS)
        counted = there.server.count() - before
    return counted.gateway_seconds / counted.at


async def poll_seconds() -> float:
    """Return the processor seconds of a poll over gRPC, both ends together."""

    class Idle(encoder_pb2_grpc.EncoderServiceServicer):
        async def GetCapabilities(self, request: object, context: object) -> encoder_pb2.GetCapabilitiesResponse:
            return encoder_pb2.GetCapabilitiesResponse(slots=1)

    server = grpc.aio.server()
    encoder_pb2_grpc.add_EncoderServiceServicer_to_server(Idle(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = encoder_pb2_grpc.EncoderServiceStub(channel)
        begun = _processor_seconds()
        for _ in range(POLLS):
            await stub.GetCapabilities(encoder_pb2.GetCapabilitiesRequest())
        taken = _processor_seconds() - begun
    await server.stop(0)
    return taken / POLLS


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system


def rows(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured of a job, and what the arithmetic has."""
    counted, tasks = run.counted, run.tasks
    yield "record written", f"{run.per_job(counted.record_writes):.2f}", f"{scale_model.record_writes(tasks)}"
    for way, came, most in (
        ("to", counted.to_server, run.expected_to_server()),
        ("from", counted.from_server, run.expected_from_server()),
    ):
        arithmetic = f"{run.per_job(most - run.spared()):.1f}–{run.per_job(most):.1f}"
        yield f"messages {way} the store", f"{run.per_job(came):.1f}", arithmetic
    yield "bytes to and from it", f"{run.per_job(counted.sent_bytes):,.0f}", ""
    yield "processor ms of the gateways", f"{run.per_job(1000 * counted.gateway_seconds):.2f}", ""
    yield "processor ms of nats-server", f"{run.per_job(1000 * counted.server_seconds):.2f}", ""


ENCODERS = (10, 100, 1000, 10_000)
JOBS_PER_HOUR = (100, 1000, 10_000, 100_000)


def site_table(figures: Figures = MEASURED) -> str:
    """Return the table of docs/scale.md."""
    head = "| encoders | jobs an hour | gateways | messages/s | writes/s | KiB/s | core of a gateway |"
    lines = [f"{head} core of nats-server | MiB of a gateway | GiB of records |", "|---" * 10 + "|"]
    for encoders in ENCODERS:
        for jobs in JOBS_PER_HOUR:
            found = scale_model.gateways_for(encoders, jobs, figures)
            site = Site(encoders=encoders, jobs_per_hour=jobs, gateways=found or 1)
            load = scale_model.load(site, figures)
            cells = [f"{encoders:,}", f"{jobs:,}", "more than one cell" if found is None else str(found)]
            cells += [f"{load.messages:,.0f}", f"{load.writes:,.1f}", f"{load.bytes / 1024:,.0f}"]
            cells += [f"{load.gateway_cores:.1%}", f"{load.server_cores:.1%}", f"{load.gateway_mib:,.0f}"]
            lines.append(f"| {' | '.join([*cells, f'{load.stored_mib / 1024:.1f}'])} |")
    return "\n".join(lines)


async def run_all(sizes: list[int], console: Console) -> None:
    """Measure everything, and print it."""
    plans = [(f"{n:,} encoders", {"encoders": n, "jobs": max(MIN_JOBS, JOBS_OF_ENCODER * n)}) for n in sizes]
    plans.append((f"100 encoders, {FOLLOWERS} more gateways", {"encoders": 100, "jobs": 300, "followers": FOLLOWERS}))
    for images in (100, 500):
        batch = {"encoders": 100, "jobs": 1, "images": images, "task_seconds": 0.2}
        plans.append((f"100 encoders, a batch of {images} images", batch))
    for title, plan in plans:
        table = Table("of a job", "measured", "arithmetic", title=title)
        with scratch.folder("scale") as folder:
            for row in rows(await measured(folder=folder, **plan)):  # type: ignore[arg-type]
                table.add_row(*row)
        console.print(table)
    for encoders in sizes:
        with scratch.folder("scale") as folder:
            console.print(
                f"{encoders:,} idle encoders: {await idle(encoders, folder):.2%} of a core, polls by gRPC apart"
            )
    console.print(f"a poll by gRPC, both ends: {1000 * await poll_seconds():.2f} ms")


def main(arguments: list[str]) -> None:
    """Measure with so many encoders each, and print the tables."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console = Console()
    if arguments != ["table"]:
        console.print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
        asyncio.run(run_all([int(each) for each in arguments] or [10, 100, 1000], console))
    print(site_table())


if __name__ == "__main__":
    main(sys.argv[1:])

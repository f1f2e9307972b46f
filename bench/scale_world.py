"""A gateway's own job manager, dispatcher and queue, on a nats-server of its own, with simulated encoders: what a job
takes of messages, writes, bytes and processor time."""

import asyncio
import contextlib
import json
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1.video_pb2 import Img2VidImage, Img2VidRequest, Operation, ThumbnailRequest
from gateway.assets.store import AssetStore
from gateway.fleet.autoscaler import Policy
from gateway.fleet.controller import FleetConfig
from gateway.fleet.fleet import open_fleet
from gateway.jetstream.connection import JetStream
from gateway.jetstream.server import CONFIG
from gateway.jobs.claims import Claims
from gateway.jobs.ffmpeg_log import FfmpegLogs
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Job
from gateway.jobs.policy import JobPolicy
from gateway.jobs.progress import ProgressBus
from gateway.jobs.queue import TaskQueue
from gateway.jobs.setup import JobResources, start_jobs
from gateway.jobs.store import JobStore
from gateway.sources import Sources
from gateway.sources.fetch import Fetcher, FetchLimits
from gateway.workers.base import EncodeJob, Encoder, EncoderBusy, Events, Outcome
from gateway.workers.pool import Pool
from servicekit.chunks import Checksum
from servicekit.process import die_with_parent
from tools.pair import free_ports

RESULT = b"result" * 100
KEPT_SECONDS = 3600.0
MAX_BYTES = 1 << 30
SUBMITTERS = 16
ACK_WAIT_SECONDS = 10.0
BINARY = Path(sys.executable).with_name("nats-server")


@dataclass(eq=False)
class SimulatedEncoder:
    """An encoder of one slot whose tasks take a time, report their progress, and have a small result."""

    name: str
    task_seconds: float
    reports: int
    is_busy: bool = field(default=False, init=False)

    async def capabilities(self) -> encoder_pb2.GetCapabilitiesResponse:
        """Return its one slot."""
        codecs = [encoder_pb2.Codec(name="x264")]
        return encoder_pb2.GetCapabilitiesResponse(slots=1, busy=int(self.is_busy), codecs=codecs, boot_id=self.name)

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """Play a task. Raises EncoderBusy while there is another."""
        if self.is_busy:
            raise EncoderBusy(f"{self.name} has a task")
        self.is_busy = True
        try:
            await events.started()
            for done in range(self.reports):
                await asyncio.sleep(self.task_seconds / self.reports)
                await events.progress(encoder_pb2.EncodeProgress(frames_done=done, frames_total=self.reports, fps=1))
            await events.chunk(RESULT)
        finally:
            self.is_busy = False
        tally = Checksum()
        tally.add(RESULT)
        summary = encoder_pb2.Summary(size_bytes=len(RESULT), sha256=tally.sha256, frames=1, codec="x264")
        summary.content_type = "image/png"
        return Outcome(summary)

    async def release(self, task_id: str) -> None:
        """Have nothing to drop."""

    async def until_ended(self, task_id: str) -> None:
        """Have nothing to clean up."""

    async def close(self) -> None:
        """Have nothing to close."""


@dataclass(frozen=True)
class Count:
    """What there was up to a moment: messages and bytes to and from nats-server, writes of records, seconds of the
    processor for the gateways and for nats-server, and of the clock."""

    to_server: int
    from_server: int
    sent_bytes: int
    record_writes: int
    gateway_seconds: float
    server_seconds: float
    at: float

    def __sub__(self, before: "Count") -> "Count":
        """Return what came between."""
        return Count(*(getattr(self, name) - getattr(before, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Server:
    """A nats-server as the gateway starts it, that tells of itself."""

    url: str
    monitor: str
    process: psutil.Process

    def count(self) -> Count:
        """Return what there was up to now."""
        connections = self._told("connz")["connections"]
        times = self.process.cpu_times()
        return Count(
            to_server=sum(one["in_msgs"] for one in connections),
            from_server=sum(one["out_msgs"] for one in connections),
            sent_bytes=sum(one["in_bytes"] + one["out_bytes"] for one in connections),
            record_writes=self._stream("KV_jobs")["last_seq"],
            gateway_seconds=time.process_time(),
            server_seconds=times.user + times.system,
            at=time.monotonic(),
        )

    def record_bytes(self) -> float:
        """Return the bytes that a kept record takes in the store."""
        state = self._stream("KV_jobs")
        return float(state["bytes"]) / max(1, state["messages"])

    def _stream(self, name: str) -> dict[str, int]:
        accounts = self._told("jsz?streams=1")["account_details"]
        streams = {one["name"]: one["state"] for account in accounts for one in account["stream_detail"]}
        state: dict[str, int] = streams.get(name, {"last_seq": 0, "messages": 0, "bytes": 0})
        return state

    def _told(self, what: str) -> dict[str, list[dict[str, object]]]:
        with urllib.request.urlopen(f"{self.monitor}/{what}", timeout=30) as answer:
            told: dict[str, list[dict[str, object]]] = json.load(answer)
        return told


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    """Run a nats-server until the block is left."""
    port, monitor = free_ports(2)
    config = CONFIG.format(port=port, token="scale", store=folder / "store")
    (folder / "server.conf").write_text(f"http: 127.0.0.1:{monitor}\n{config}")
    child = die_with_parent([str(BINARY), "--config", str(folder / "server.conf"), "--log", str(folder / "log")])
    process = await asyncio.create_subprocess_exec(*child.command, preexec_fn=child.preexec)
    try:
        yield Server(f"nats://scale@127.0.0.1:{port}", f"http://127.0.0.1:{monitor}", psutil.Process(process.pid))
    finally:
        process.terminate()
        await process.wait()


@dataclass(frozen=True)
class World:
    """A gateway's jobs, with encoders, and further gateways that only follow the records."""

    server: Server
    manager: JobManager
    pool: Pool
    assets: AssetStore
    asset: str

    async def one(self) -> Job:
        """Submit a job of one task."""
        return await self.manager.submit(Operation(thumbnail=ThumbnailRequest(url_video=self.asset)))

    async def batch(self, images: int) -> Job:
        """Submit a batch."""
        items = [Img2VidImage(id=str(n), image_url=self.asset, duracao=1) for n in range(images)]
        return await self.manager.submit(Operation(img2vid=Img2VidRequest(images=items)))

    async def ended(self, job: Job) -> Job:
        """Wait for the end of a job, as a call that waits does."""
        return await self.manager.wait(job.id)

    async def many(self, jobs: int) -> None:
        """Submit so many jobs of one task, some at once, and wait until all have ended."""
        left = iter(range(jobs))

        async def submit() -> None:
            for _ in left:
                await self.one()

        await asyncio.gather(*(submit() for _ in range(SUBMITTERS)))
        index = self.manager.store.index
        while index.tasks_waiting or index.tasks_running:
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    encoders: int,
    task_seconds: float,
    *,
    reports: int = 4,
    followers: int = 0,
    make: Callable[[int], Encoder] | None = None,
) -> AsyncIterator[World]:
    """Open a world, with so many `followers` beside the gateway, until the block is left; all encoders answer. They are
    what `make` returns for their numbers, where it is given."""
    async with serving(folder) as server, contextlib.AsyncExitStack() as stack:
        pool = Pool()
        stack.push_async_callback(pool.close)
        for number in range(encoders):
            pool.add(make(number) if make else SimulatedEncoder(f"encoder-{number}", task_seconds, reports))
        jetstream = await JetStream.open(server.url, folder, 30)
        stack.push_async_callback(jetstream.close)
        assets = AssetStore(str(folder / "assets"), retention_seconds=KEPT_SECONDS, max_bytes=MAX_BYTES)
        store = await followed(jetstream, stack)
        for _ in range(followers):
            other = await JetStream.open(server.url, folder, 30)
            stack.push_async_callback(other.close)
            await followed(other, stack)
        queue = TaskQueue(await jetstream.queue("tasks", ACK_WAIT_SECONDS))
        fleet = await open_fleet(
            FleetConfig("api-gpu", Policy()), await jetstream.key_value("fleet"), pool, store.index, {}, stack
        )
        sources = Sources(Fetcher(FetchLimits(MAX_BYTES, 1, 1, 1)), assets)
        policy = JobPolicy(max_task_seconds=3600, max_attempts=3, max_items=500)
        logs = FfmpegLogs.of(store, await jetstream.key_value("logs"))
        resources = JobResources(store, queue, ProgressBus(jetstream), sources, assets, logs)
        manager, _ = start_jobs(resources, pool, fleet, policy, stack)
        async with assets.create("still.png") as writer:
            await writer.write(b"still")
            asset = (await writer.commit()).name
        while pool.ready < encoders:
            await asyncio.sleep(0.05)
        yield World(server, manager, pool, assets, asset)


async def followed(jetstream: JetStream, stack: contextlib.AsyncExitStack) -> JobStore:
    """Open the records of jobs as each gateway has them."""
    store = JobStore(await jetstream.key_value("jobs"), Claims(await jetstream.key_value("claims")), KEPT_SECONDS)
    await store.start()
    stack.push_async_callback(store.stop)
    return store

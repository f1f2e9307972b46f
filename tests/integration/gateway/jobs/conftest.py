"""Everything between the queue and an encoder, real but for what the encoder does with a task."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field, replace

import grpc
import pytest

from api_gpu.local.certs import make_set
from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from apigpu.v1.video_pb2 import CaptionRequest, Operation
from gateway.assets.store import AssetStore
from gateway.fleet.autoscaler import Policy
from gateway.fleet.controller import FleetConfig
from gateway.fleet.fleet import Fleet, open_fleet
from gateway.fleet.instances.instance import Instance, InstanceState
from gateway.jetstream.connection import JetStream
from gateway.jetstream.queue import WorkQueue
from gateway.jobs.claims import Claims
from gateway.jobs.dispatcher import Dispatcher
from gateway.jobs.ffmpeg_log import FfmpegLogs
from gateway.jobs.manager import JobManager
from gateway.jobs.policy import JobPolicy
from gateway.jobs.progress import ProgressBus
from gateway.jobs.queue import TaskQueue
from gateway.jobs.setup import JobResources, start_jobs
from gateway.jobs.store import JobStore
from gateway.sources import Sources
from gateway.sources.fetch import Fetcher
from gateway.workers.grpc import GrpcEncoder
from gateway.workers.pool import Pool
from servicekit.chunks import Checksum
from servicekit.errors import ResourceExhausted, ServiceError, Unavailable
from servicekit.interceptors import error_boundary
from servicekit.server import Service
from servicekit.server_tls import ReloadingIdentity, ServerTls
from servicekit.tls import Identity
from tests.integration.gateway.jobs.faulty_bucket import FaultyBucket
from tests.support.until import within
from tests.support.web_server import limits

RESULT = b"result" * 1000
# Of tests that say nothing else: the cost is looked at often, and nobody waits for a store that is away.
QUICK = {"cost_check_seconds": 0.05, "store_seconds": 0.0}


@dataclass
class ScriptedEncoder(encoder_pb2_grpc.EncoderServiceServicer):
    """Reads a task with all its inputs, then does what its line of the script says; by default it succeeds. What can
    be called is awaited first, also before what it comes in a pair with. A summary is answered as it is, after a result
    where it has one. Bytes are the result."""

    slots: int = 2
    script: list[object] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    codecs: list[str] = field(default_factory=list)
    boot_id: str = "first"
    composes: bool = True
    own_indexes: bool = True
    # It asks for these ranges of its first input, one after the other; without any it does not know how.
    asks: list[list[tuple[int, int]]] = field(default_factory=list)
    # An encoder of before tasks came with small inputs.
    small_inputs: bool = False
    # The tasks that it was given, and of each chunk its offset and size.
    given: list[encoder_pb2.Task] = field(default_factory=list)
    chunks: list[tuple[int, int]] = field(default_factory=list)
    running: int = 0
    most: int = 0
    tasks: int = 0
    refusals: int = 0
    # How often it had no slot free; what it waits for behind a task, once its summary is sent.
    overrun: int = 0
    cleaned_up: asyncio.Event | None = None
    # What it waits for before it takes a task.
    begins: asyncio.Event | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def GetCapabilities(self, request, context):
        codecs = [encoder_pb2.Codec(name=name) for name in self.codecs]
        return encoder_pb2.GetCapabilitiesResponse(slots=self.slots, codecs=codecs, boot_id=self.boot_id)

    async def Encode(self, requests, context):
        if self.running >= self.slots:
            self.overrun += 1
            raise ResourceExhausted("full", reason="NO_FREE_SLOT")
        if self.begins is not None:
            await self.begins.wait()
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("shutting down", reason="DRAINING")
        known = {
            "x-accepted": True,
            "x-composes": self.composes,
            "x-own-indexes": self.own_indexes,
            "x-asks-ranges": bool(self.asks),
            "x-small-inputs": self.small_inputs,
        }
        await context.send_initial_metadata(tuple((name, "1") for name, is_known in known.items() if is_known))
        self.running, self.tasks = self.running + 1, self.tasks + 1
        self.most = max(self.most, self.running)
        step = self.script.pop(0) if self.script else None
        try:
            # Of a gateway that may be asked the stream does not end with the inputs.
            may_ask = bool(self.asks) and "x-asks-ranges" in dict(context.invocation_metadata())
            await self._read(requests, until_sent=may_ask)
            for ranges in self.asks if may_ask else ():
                asked = [encoder_pb2.ByteRange(start=start, end=end) for start, end in ranges]
                yield encoder_pb2.EncodeResponse(wanted=encoder_pb2.WantedRanges(ranges=asked))
                await self._read(requests, until_sent=True, count=1)
            async for response in self._play(step, context):
                yield response
            if self.cleaned_up is not None:
                await self.cleaned_up.wait()
        finally:
            self.running -= 1
            self.ended.set()

    async def _read(self, requests, *, until_sent=False, count=0):
        data, ends = b"", 0
        async for request in requests:
            part = request.WhichOneof("part")
            if part == "task":
                self.given.append(request.task)
                count = len(request.task.inputs)
                self.inputs += [small.data for small in request.task.small_inputs if self.small_inputs]
            elif part == "chunk":
                data += request.chunk.data
                self.chunks.append((request.chunk.offset, len(request.chunk.data)))
            elif part == "input_end":
                self.inputs.append(data)
                data, ends = b"", ends + 1
                if until_sent and ends == count:
                    return

    async def _play(self, step, context):
        if step == "silent":
            await asyncio.sleep(60)
        yield encoder_pb2.EncodeResponse(progress=encoder_pb2.EncodeProgress(frames_done=1, frames_total=2, fps=10))
        if isinstance(step, asyncio.Event):
            await step.wait()
        if step == "lost" or isinstance(step, asyncio.Event):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")
        if step == "no end":
            return
        if step == "hang":
            await asyncio.sleep(60)
        if isinstance(step, ServiceError):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
        if isinstance(step, tuple):
            await step[0]()
            step = step[1]
        if callable(step):
            await step()
        is_given = isinstance(step, encoder_pb2.Summary)
        if is_given and not step.size_bytes:
            yield encoder_pb2.EncodeResponse(summary=step)
            return
        result, tally = step if isinstance(step, bytes) else RESULT, Checksum()
        tally.add(result)
        yield encoder_pb2.EncodeResponse(chunk=result)
        digest = {"corrupt": "0" * 64, "no digest": ""}.get(step if isinstance(step, str) else "", tally.sha256)
        summary = encoder_pb2.Summary(size_bytes=len(result), sha256=digest, frames=2, codec="x264")
        if is_given:
            summary.further.extend(step.further)
            summary.composed.extend(step.composed)
            summary.index_bytes = step.index_bytes
        yield encoder_pb2.EncodeResponse(summary=summary)


@dataclass
class Works:
    """The parts of the gateway that run jobs."""

    jetstream: JetStream
    assets: AssetStore
    bucket: FaultyBucket
    work_queue: WorkQueue
    queue: TaskQueue
    store: JobStore
    manager: JobManager
    dispatcher: Dispatcher
    pool: Pool
    encoder: ScriptedEncoder
    fleet: Fleet

    async def asset(self, data=b"input"):
        async with self.assets.create("a.bin") as writer:
            await writer.write(data)
            return (await writer.commit()).name

    async def caption(self):
        return Operation(caption=CaptionRequest(url_video=await self.asset(), url_srt=await self.asset(b"subtitles")))

    async def result(self, job_id):
        return await within(self.manager.wait(job_id))


@contextlib.asynccontextmanager
async def serving(encoder, certs, port=0):
    identity = Identity.read(certs / "encoder.crt", certs / "encoder.key", certs / "ca.crt")
    tls = ServerTls(ReloadingIdentity(identity), require_client=True)
    service = Service([error_boundary(60)], max_call_seconds=60)
    encoder_pb2_grpc.add_EncoderServiceServicer_to_server(encoder, service.server)
    bound = service.listen(f"127.0.0.1:{port}", tls.credentials())
    service.listen_for_probes("127.0.0.1:0")
    await service.start()
    try:
        yield bound
    finally:
        await service.drain(0)


@pytest.fixture
def certs(tmp_path):
    make_set(tmp_path / "certs")
    return tmp_path / "certs"


@pytest.fixture
def retry():
    """The intervals that are not the policy's own: parametrize it to have any."""
    return {}


@pytest.fixture
def ack_wait_seconds():
    """When a message comes again whose gateway is silent: parametrize it to have another."""
    return 1.0


@pytest.fixture
async def works(jetstream, tmp_path, certs, retry, ack_wait_seconds):
    encoder = ScriptedEncoder()
    async with serving(encoder, certs) as port, contextlib.AsyncExitStack() as stack:
        identity = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt")
        pool = Pool(poll_seconds=0.25)
        pool.add(GrpcEncoder(f"127.0.0.1:{port}", identity.channel_credentials(), ""))
        stack.push_async_callback(pool.close)
        yield await wired(jetstream, tmp_path, pool, encoder, stack, retry=retry, ack_wait_seconds=ack_wait_seconds)


RENTED = Instance(
    id="fleet-1", provider="vast", usd_per_hour=3600.0, created_at=0.0, state=InstanceState.READY, slots=2
)


@pytest.fixture
async def rented(jetstream, tmp_path, certs):
    """The same, with an encoder that costs a dollar a second since just now; `register` beside it."""
    encoder = ScriptedEncoder()
    async with serving(encoder, certs) as port, contextlib.AsyncExitStack() as stack:
        identity = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt")
        pool = Pool()
        at = GrpcEncoder(f"127.0.0.1:{port}", identity.channel_credentials(), "", name=RENTED.id)
        pool.add(at, rank=1, is_rented=True)
        stack.push_async_callback(pool.close)
        works = await wired(jetstream, tmp_path, pool, encoder, stack)
        await works.fleet.registry.create(RENTED.id, replace(RENTED, created_at=time.time()))
        yield works


async def wired(
    jetstream, tmp_path, pool, encoder, stack, max_task_seconds=120.0, resumable=(), retry=None, ack_wait_seconds=1.0
):
    """Wire the product's own parts over a bucket that fails when it is told to."""
    assets = AssetStore(str(tmp_path / "assets"), retention_seconds=3600, max_bytes=1 << 30)
    bucket = FaultyBucket(await jetstream.key_value("jobs"))
    store = JobStore(bucket, Claims(await jetstream.key_value("claims")), 3600)
    await store.start()
    stack.push_async_callback(store.stop)
    work_queue = await jetstream.queue("tasks", ack_wait_seconds)
    queue, progress = TaskQueue(work_queue), ProgressBus(jetstream)
    fetcher = Fetcher(limits(max_bytes=1 << 30, connect_seconds=30, idle_seconds=30, total_seconds=60))
    sources = Sources(fetcher, assets)
    config = FleetConfig("api-gpu", Policy())
    fleet = await open_fleet(config, await jetstream.key_value("fleet"), pool, store.index, {}, stack)
    policy = JobPolicy(max_task_seconds=max_task_seconds, max_attempts=3, max_items=20, **(QUICK | (retry or {})))
    logs = FfmpegLogs.of(store, await jetstream.key_value("logs"))
    resources = JobResources(store, queue, progress, sources, assets, logs)
    manager, dispatcher = start_jobs(resources, pool, fleet, policy, stack, resumable)
    return Works(jetstream, assets, bucket, work_queue, queue, store, manager, dispatcher, pool, encoder, fleet)

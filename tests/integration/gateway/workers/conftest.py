"""The gateway's side of RunPod on real parts: NATS, the asset store, the HTTP side on a port; RunPod is emulated."""

import base64
import contextlib
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from ipaddress import ip_network

import grpc
import httpx
import pytest
import pytest_asyncio

from apigpu.v1.video_pb2 import CaptionRequest, Operation
from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.auth import ApiKeys
from gateway.callers import DEFAULT_TENANT
from gateway.fleet.providers.runpod.client import RunpodClient
from gateway.fleet.providers.runpod.encoder import RunpodEncoder
from gateway.fleet.providers.runpod.run import RunTimeouts
from gateway.jetstream.connection import JetStream
from gateway.rest.server import HttpServer, RestSettings, build_app
from gateway.rest.worker_links import WorkerLinks
from gateway.sources import Sources
from gateway.sources.fetch import Fetcher, FetchLimits
from gateway.workers.base import EncodeJob, Input
from gateway.workers.tickets import TaskLinks, Tickets
from servicekit.backoff import Backoff
from tests.emulators import runpodemulator
from tests.emulators.runpodjobs import Queue, Rules

RESULT = b"result" * 1000
MAX_BYTES = 1 << 23
TIMEOUTS = RunTimeouts(120.0, queue_seconds=60.0, first_poll_seconds=0.01, max_poll_seconds=0.03, health_seconds=0)


def new_key():
    """The key of a task."""
    return f"{secrets.token_hex(16)}.0"


@dataclass
class Stage:
    """The parts, and what makes encoders and tasks of them."""

    runpod: runpodemulator.RunPod
    jetstream: JetStream
    assets: AssetStore
    tickets: Tickets
    links: LinkSigner
    sources: Sources
    door: WorkerLinks
    url: str
    # Of the tasks of a test, where it gives none: what an earlier test left behind is not theirs.
    key: str = field(default_factory=new_key)

    def client(self, **more):
        given = {"url": self.runpod.api_url, "endpoint_id": self.runpod.endpoint_id, "key": self.runpod.key, **more}
        return RunpodClient(**given, rest_url=self.runpod.rest_url, backoff=Backoff(0.01, 0.1))

    @property
    def task_links(self):
        return TaskLinks(self.links, self.assets, self.url, TIMEOUTS.life_seconds)

    def encoder(self, timeouts=TIMEOUTS, **more):
        return RunpodEncoder(self.client(**more), self.tickets, self.assets, self.task_links, timeouts)

    async def asset(self, data=b"input"):
        async with self.assets.create("a.bin") as writer:
            await writer.write(data)
            return (await writer.commit()).name

    async def task(self, operation, field, source, key=""):
        """A task of this operation with one input."""
        return EncodeJob(
            key or self.key,
            operation,
            [Input(field, source, lambda: self.sources.open(source, DEFAULT_TENANT))],
            "a.mp4",
        )

    async def job(self, *sources, key=""):
        """A task with these sources, or two assets."""
        sources = sources or (await self.asset(), await self.asset(b"subtitles"))
        inputs = [
            Input(field, source, lambda source=source: self.sources.open(source, DEFAULT_TENANT))
            for field, source in zip(("url_video", "url_srt"), sources, strict=False)
        ]
        return EncodeJob(key or self.key, Operation(caption=CaptionRequest()), inputs, "caption.mp4")

    async def stored(self):
        return set(await self.assets.bucket.list_objects("assets/"))

    async def content(self, asset_id):
        return b"".join([chunk async for chunk in self.assets.read(asset_id)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parts(tmp_path_factory):
    """A stage for all tests of a file, as it takes half a second to set up."""
    folder = tmp_path_factory.mktemp("stage")
    async with contextlib.AsyncExitStack() as stack:
        runpod = await stack.enter_async_context(runpodemulator.running())
        jetstream = await JetStream.open("", folder / "nats", connect_seconds=60)
        stack.push_async_callback(jetstream.close)
        assets = AssetStore(str(folder / "assets"), retention_seconds=3600, max_bytes=MAX_BYTES)
        limits = FetchLimits(
            max_bytes=1 << 20,
            connect_seconds=30,
            idle_seconds=30,
            total_seconds=60,
            allow_cidrs=(ip_network("127.0.0.0/8"),),
        )
        fetcher = Fetcher(limits)
        tickets, links = Tickets(await jetstream.key_value("tickets")), LinkSigner(b"s" * 32, 600)
        sources = Sources(fetcher, assets)
        nowhere = await stack.enter_async_context(grpc.aio.insecure_channel("unix:/nowhere"))
        transfers = TransferSlots(1)
        door = WorkerLinks(tickets, links, assets, sources, TransferSlots(4))
        server = HttpServer(
            build_app(nowhere, ApiKeys([]), assets, links, RestSettings(), transfers, door), "127.0.0.1", 0
        )
        port = await server.start()
        stack.push_async_callback(server.drain, 0)
        yield Stage(runpod, jetstream, assets, tickets, links, sources, door, f"http://127.0.0.1:{port}")


@pytest_asyncio.fixture(loop_scope="module")
async def stage(parts):
    """The stage as new."""
    runpod = parts.runpod
    runpod.rules, runpod.limits, runpod.faults = Rules(), runpodemulator.Limits(), runpodemulator.Faults()
    runpod.queue = Queue(runpod.rules)
    runpod.requests.clear()
    parts.key = new_key()
    for key in await parts.tickets.keys():
        await parts.tickets.drop(key, await parts.tickets.get(key))
    return parts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_encoder(parts):
    made = parts.encoder()
    yield made
    await made.close()


@pytest.fixture
def encoder(stage, one_encoder):
    """The encoder, on a stage as new."""
    return one_encoder


def digest(data):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def summary(data=RESULT):
    return {"sizeBytes": str(len(data)), "sha256": hashlib.sha256(data).hexdigest(), "frames": "2", "codec": "x264"}


async def put(url, data=RESULT, **headers):
    async with plain() as http:
        return await http.put(url, content=data, headers={"content-digest": digest(data), **headers})


def plain():
    """A client for http alone: authorities take 50 ms to load."""
    return httpx.AsyncClient(verify=False, timeout=60)


async def fetched(url):
    async with plain() as http:
        return await http.get(url)


async def work(asked, report):
    """A worker's part, without an encode: it reads the inputs and puts RESULT."""
    inputs = [(await fetched(url)).raise_for_status().content for url in asked["inputUrls"]]
    report({"framesDone": "1", "framesTotal": "2", "fps": 10})
    (await put(asked["resultUrl"])).raise_for_status()
    work.inputs = inputs
    return {"summary": summary()}


def failing(**fault):
    """A worker that fails with this RemoteFault."""

    async def handler(asked, report):
        raise RuntimeError(json.dumps(fault))

    return handler

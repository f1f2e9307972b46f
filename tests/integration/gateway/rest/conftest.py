"""The JSON side in front of services, wired as in the gateway, that record what reaches them."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from apigpu.v1 import (
    assets_pb2,
    assets_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    video_pb2,
    video_pb2_grpc,
)
from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.auth import ApiKeys
from gateway.rest.server import LIMITS, HttpServer, RestSettings, build_app
from gateway.services.assets import UPLOAD
from servicekit.chunk_messages import takes
from servicekit.chunks import ACCEPTED, Checksum
from servicekit.errors import DataLoss, ServiceError
from servicekit.interceptors import error_boundary
from servicekit.local import LocalChannel, LocalServer

KEY, ADMIN_KEY = "k", "admin"
Handler = Callable[[Any, Any], Awaitable[Any]]


@dataclass
class Gateway:
    """What the servicers saw, and what they are to do: `handle` answers unary calls, `watch` yields events."""

    url: str = ""
    port: int = 0
    assets: AssetStore | None = None
    links: LinkSigner | None = None
    transfers: TransferSlots | None = None
    server: HttpServer | None = None
    method: str = ""
    request: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    seconds_left: float | None = None
    handle: Handler | None = None
    before_reading: Callable[[], Awaitable[Any]] | None = None
    watch: Callable[[Any, Any], AsyncIterator[Any]] | None = None
    uploads: list[str] = field(default_factory=list)
    uploaded: Checksum = field(default_factory=Checksum)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def note(self, method: str, request: Any, context: Any, default: Any) -> Any:
        """Record a unary call and answer it."""
        self.method, self.request = method, request
        self.metadata, self.seconds_left = dict(context.invocation_metadata()), context.time_remaining()
        answer = await self.handle(request, context) if self.handle else default
        if isinstance(answer, ServiceError):
            raise answer
        return answer


class Unary:
    """Methods of a servicer that note the call and answer with an empty response, or with what the test says."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway


def unary(name: str, response: Any) -> Any:
    async def method(self: Unary, request: Any, context: Any) -> Any:
        return await self.gateway.note(name, request, context, response())

    return method


class Video(Unary, video_pb2_grpc.VideoServiceServicer):
    Caption = unary("Caption", lambda: video_pb2.CaptionResponse(code=200))
    Img2Vid = unary("Img2Vid", video_pb2.Img2VidResponse)
    AddAudio = unary("AddAudio", video_pb2.AddAudioResponse)


class Jobs(Unary, jobs_pb2_grpc.JobServiceServicer):
    SubmitJob = unary("SubmitJob", lambda: jobs_pb2.SubmitJobResponse(job=jobs_pb2.Job(id="j/1", status="IN_QUEUE")))
    GetJob = unary("GetJob", jobs_pb2.GetJobResponse)
    ListJobs = unary("ListJobs", jobs_pb2.ListJobsResponse)
    CancelJob = unary("CancelJob", jobs_pb2.CancelJobResponse)

    async def WatchJob(self, request, context):
        await self.gateway.note("WatchJob", request, context, None)
        try:
            async for event in self.gateway.watch(request, context):
                yield event
        finally:
            self.gateway.ended.set()


class System(Unary, system_pb2_grpc.SystemServiceServicer):
    GetInfo = unary("GetInfo", lambda: system_pb2.GetInfoResponse(name="api-gpu"))
    GetHealth = unary("GetHealth", system_pb2.GetHealthResponse)
    GetRunpodHealth = unary("GetRunpodHealth", system_pb2.GetRunpodHealthResponse)
    GetRunpodConfig = unary("GetRunpodConfig", system_pb2.GetRunpodConfigResponse)


class Assets(Unary, assets_pb2_grpc.AssetServiceServicer):
    GetAsset = unary("GetAsset", assets_pb2.GetAssetResponse)
    DeleteAsset = unary("DeleteAsset", assets_pb2.DeleteAssetResponse)

    @takes(UPLOAD)
    async def UploadAsset(self, request_iterator, context):
        gateway = self.gateway
        gateway.uploaded, finish = Checksum(), None
        try:
            async for request, data in request_iterator:
                part = request.WhichOneof("part")
                gateway.uploads.append(part)
                if part == "header":
                    await gateway.note("UploadAsset", request.header, context, None)
                    await context.send_initial_metadata(((ACCEPTED, "1"),))
                    if gateway.before_reading is not None:
                        await gateway.before_reading()
                elif part == "chunk":
                    gateway.uploaded.add(data)
                else:
                    finish = request.finish
        finally:
            gateway.ended.set()
        if finish is None:
            raise DataLoss("no finish")
        gateway.uploaded.verify("it", size_bytes=finish.size_bytes, sha256=finish.sha256)
        header = gateway.request
        asset = assets_pb2.Asset(name="assets/1", filename=header.filename, size_bytes=gateway.uploaded.size_bytes)
        return assets_pb2.UploadAssetResponse(asset=asset)

    async def DownloadAsset(self, request, context):
        await self.gateway.note("DownloadAsset", request, context, None)
        try:
            async for event in self.gateway.watch(request, context):
                yield event
        finally:
            self.gateway.ended.set()


@contextlib.asynccontextmanager
async def running(tmp_path, settings=None, limits=LIMITS, transfers=None, jobs=None):
    gateway = Gateway()
    server: Any = LocalServer([error_boundary(60)])
    video_pb2_grpc.add_VideoServiceServicer_to_server(Video(gateway), server)
    jobs_pb2_grpc.add_JobServiceServicer_to_server(Jobs(gateway), server)
    system_pb2_grpc.add_SystemServiceServicer_to_server(System(gateway), server)
    assets_pb2_grpc.add_AssetServiceServicer_to_server(Assets(gateway), server)
    gateway.assets = AssetStore(str(tmp_path / "assets"), retention_seconds=3600, max_bytes=1 << 30)
    gateway.links = LinkSigner(b"s" * 32, ttl_seconds=600)
    gateway.transfers = transfers or TransferSlots(1)
    keys, channel = ApiKeys([KEY], admin_keys=[ADMIN_KEY]), LocalChannel(server)
    rest = settings or RestSettings()
    app = build_app(channel, keys, gateway.assets, gateway.links, rest, gateway.transfers, jobs=jobs)
    gateway.server = HttpServer(app, "127.0.0.1", 0, limits)
    gateway.port = await gateway.server.start()
    gateway.url = f"http://127.0.0.1:{gateway.port}"
    yield gateway
    await gateway.server.drain(0)
    await server.close()


@pytest.fixture
def limits():
    """Parametrize it to have others."""
    return LIMITS


@pytest.fixture
async def gateway(tmp_path, limits):
    async with running(tmp_path, limits=limits) as made:
        yield made


@pytest.fixture
def start(tmp_path):
    """Starts a gateway with other settings, as a context manager."""
    return functools.partial(running, tmp_path)


@pytest.fixture
async def http(gateway):
    async with httpx.AsyncClient(base_url=gateway.url, headers={"x-api-key": KEY}, timeout=60) as client:
        yield client

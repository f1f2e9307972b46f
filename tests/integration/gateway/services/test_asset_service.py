"""AssetService on a real gRPC server: its places and its patience."""

import asyncio
import contextlib

import grpc
import pytest

from apigpu.v1 import assets_pb2, assets_pb2_grpc
from gateway.assets.direct import DirectLinks
from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.services import assets
from gateway.services.presenters import Presenter
from servicekit.chunks import Checksum
from servicekit.errors import from_rpc
from servicekit.interceptors import error_boundary
from tests.support.until import until, until_async, within

HEADER = assets_pb2.UploadAssetRequest(header=assets_pb2.UploadHeader(filename="a.mp4"))
CHUNK = assets_pb2.UploadAssetRequest(chunk=b"x" * 1000)


@contextlib.asynccontextmanager
async def serving(tmp_path, **terms):
    """The service, with one place for transfers."""
    transfers = terms.pop("transfers", TransferSlots(1))
    store = AssetStore(str(tmp_path / "assets"), retention_seconds=3600, max_bytes=1 << 24)
    server = grpc.aio.server(interceptors=[error_boundary(60)])
    links = LinkSigner(b"s" * 32, 600)
    service = assets.AssetService(
        store,
        Presenter(links, lambda usage, now: None, "http://localhost"),
        transfers,
        DirectLinks(store, links, is_enabled=False),
        **terms,
    )
    assets_pb2_grpc.add_AssetServiceServicer_to_server(service, server)
    socket = f"unix:{tmp_path}/grpc.sock"
    server.add_insecure_port(socket)
    await server.start()
    async with grpc.aio.insecure_channel(socket) as channel:
        yield assets_pb2_grpc.AssetServiceStub(channel)
    await server.stop(0)


@pytest.fixture
async def stub(tmp_path):
    async with serving(tmp_path) as stub:
        yield stub


@pytest.mark.parametrize("sent", [[], [HEADER], [HEADER, CHUNK]])
async def test_a_silent_upload_is_ended_and_gives_its_place_up(tmp_path, sent):
    transfers = TransferSlots(1)
    async with serving(tmp_path, idle_seconds=0.3, transfers=transfers) as stub:
        call = stub.UploadAsset()
        for request in sent:
            await call.write(request)
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "UPLOAD_IDLE")
        assert "0.3 s" in error.message
        await until(lambda: transfers.free == 1)


async def test_a_slow_upload_is_not_a_silent_one(tmp_path):
    async with serving(tmp_path, idle_seconds=3) as stub:
        assert await upload(stub, chunks=4, pause_seconds=0.8) == 4000


async def test_no_more_transfers_than_there_are_places(tmp_path):
    transfers = TransferSlots(1)
    async with serving(tmp_path, transfers=transfers) as stub:
        call = stub.UploadAsset()
        await call.write(HEADER)
        await until(lambda: transfers.free == 0)
        error = await refused(stub.UploadAsset(iter([HEADER])))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY")
        call.cancel()
        await until(lambda: transfers.free == 1)
        assert await upload(stub) == 1000


async def test_a_slow_upload_gives_way_and_a_fast_one_does_not(tmp_path):
    transfers = TransferSlots(1, allowed_seconds=0.2)
    async with serving(tmp_path, transfers=transfers) as stub:
        slow = stub.UploadAsset()
        await slow.write(HEADER)
        await until(lambda: transfers.free == 0)

        async def has_room():
            with contextlib.suppress(grpc.aio.AioRpcError):
                return await upload(stub) == 1000

        await until_async(has_room)
        assert (await refused(slow)).reason == "EVICTED"
        fast = stub.UploadAsset()
        await fast.write(HEADER)
        for _ in range(40):  # each earns far more than it takes
            await fast.write(assets_pb2.UploadAssetRequest(chunk=bytes(1 << 18)))
            assert (await refused(stub.UploadAsset(iter([HEADER])))).reason == "BUSY"
        fast.cancel()
        await until(lambda: transfers.free == 1)  # nothing of it is left then


async def test_a_download_of_which_nothing_is_taken_gives_its_place_up(tmp_path):
    transfers = TransferSlots(1)
    async with serving(tmp_path, stall_seconds=3, transfers=transfers) as stub:
        name = (await stub.UploadAsset(requests(chunks=16, data=bytes(1 << 20)))).asset.name
        stalled = stub.DownloadAsset(assets_pb2.DownloadAssetRequest(name=name))
        assert (await stalled.read()).asset.name == name
        await until(lambda: transfers.free == 0)
        assert (await refused(stub.UploadAsset(iter([HEADER])))).reason == "BUSY"
        await until(lambda: transfers.free == 1)
        assert await upload(stub) == 1000
        error = await refused(last(stalled))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DOWNLOAD_STALLED")


async def last(call):
    while (message := await call.read()) is not grpc.aio.EOF:
        pass
    return message


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await within(call)
    return from_rpc(caught.value)


async def upload(stub, chunks=1, pause_seconds=0.0):
    """Size of what was stored."""
    return (await stub.UploadAsset(requests(chunks, pause_seconds))).asset.size_bytes


async def requests(chunks, pause_seconds=0.0, data=CHUNK.chunk):
    tally = Checksum()
    yield HEADER
    for _ in range(chunks):
        await asyncio.sleep(pause_seconds)
        tally.add(data)
        yield assets_pb2.UploadAssetRequest(chunk=data)
    finish = assets_pb2.UploadFinish(size_bytes=tally.size_bytes, sha256=tally.sha256)
    yield assets_pb2.UploadAssetRequest(finish=finish)

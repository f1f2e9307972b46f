"""What clients that take or send files slowly hold in the memory of the gateway, in a process of its own."""

import asyncio
import contextlib
import socket
import threading
import time
from urllib.parse import urlsplit

import grpc
import psutil
import pytest

from apigpu.v1 import assets_pb2, assets_pb2_grpc
from servicekit.freed_memory import GROWN_BYTES
from servicekit.tls import Identity
from tests.support.lone_gateway import KEY, LoneGateway
from tests.support.object_server import ObjectServer, settings_of
from tests.support.until import until

CLIENTS = 64
FILE_BYTES = 32 << 20
MAX_BYTES = 250 << 20


@pytest.fixture
def gateway(tmp_path):
    """One for each test: what was freed before stays with a process for some seconds, and is measured too."""
    with LoneGateway(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def asset(gateway):
    # The slots of the clients of another test may be taken still.
    for _ in range(100):
        answer = gateway.http.put("/assets/large.bin", content=bytes(FILE_BYTES))
        if answer.status_code != 429:
            break
        time.sleep(0.1)
    answer.raise_for_status()
    return answer.json()


def opened(gateway, head, stack):
    """A connection that has sent a request, and takes little of what comes."""
    at = urlsplit(gateway.url)
    raw = stack.enter_context(contextlib.closing(socket.socket()))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((at.hostname, at.port))
    raw.settimeout(10)
    raw.sendall(f"{head}\r\nHost: {at.netloc}\r\nX-API-Key: {KEY}\r\n".encode())
    return raw


class Peak:
    """The most that the gateway's process took during the block, and until it took no more."""

    def __init__(self, gateway):
        self._process = psutil.Process(gateway.process.pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.bytes = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _look(self):
        last = time.monotonic()
        while time.monotonic() - last < 1.0 or not self._ended.is_set():
            found = self._process.memory_info().rss
            if found > self.bytes:
                self.bytes, last = found, time.monotonic()
            time.sleep(0.01)


@pytest.mark.parametrize("link", ["content", "signed"])
def test_slow_readers_hold_little(gateway, asset, link):
    signed = urlsplit(asset["downloadUrl"])
    path = f"/{asset['name']}/content" if link == "content" else f"{signed.path}?{signed.query}"
    with contextlib.ExitStack() as stack:
        peak = stack.enter_context(Peak(gateway))
        readers = []
        for _ in range(CLIENTS):
            raw = opened(gateway, f"GET {path} HTTP/1.1", stack)
            raw.sendall(b"\r\n")
            readers.append(raw)
        statuses = [raw.recv(12) for raw in readers]
        assert statuses.count(b"HTTP/1.1 200") > CLIENTS // 2
        time.sleep(1)
    assert peak.bytes < MAX_BYTES


@pytest.mark.parametrize(("store", "sent_bytes"), [("folder", 3 << 20), ("bucket", 6 << 20)])
def test_slow_uploads_hold_little(tmp_path, store, sent_bytes):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ObjectServer())
        settings = settings_of(server.server_port) if store == "bucket" else {}
        gateway = stack.enter_context(LoneGateway(tmp_path, **settings))
        peak = stack.enter_context(Peak(gateway))
        senders = []
        for number in range(CLIENTS):
            raw = opened(gateway, f"PUT /assets/{number}.bin HTTP/1.1", stack)
            raw.sendall(b"Content-Length: %d\r\n\r\n" % FILE_BYTES)
            raw.settimeout(2)
            senders.append(raw)
        for raw in senders:
            with contextlib.suppress(OSError):
                raw.sendall(bytes(sent_bytes))
        time.sleep(1)
    # A bucket takes a part when it is whole: what came before waits in files.
    assert peak.bytes < MAX_BYTES


async def sent(channel, chunks):
    """An upload that has sent so much, and stays open; None where it is refused."""
    call = assets_pb2_grpc.AssetServiceStub(channel).UploadAsset(metadata=(("x-api-key", KEY),))
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await call.write(assets_pb2.UploadAssetRequest(header=assets_pb2.UploadHeader(filename="slow.bin")))
        for _ in range(chunks):
            await call.write(assets_pb2.UploadAssetRequest(chunk=bytes(512 * 1024)))
        return call
    return None


async def test_slow_uploads_by_grpc_hold_little(gateway):
    files = [gateway.certificates / name for name in ("client.crt", "client.key", "ca.crt")]
    credentials = Identity.read(*files).channel_credentials()
    own = (("grpc.use_local_subchannel_pool", 1),)
    process = psutil.Process(gateway.process.pid)
    with Peak(gateway) as peak:
        async with contextlib.AsyncExitStack() as stack:
            channels = [grpc.aio.secure_channel(gateway.target, credentials, own) for _ in range(CLIENTS)]
            for channel in channels:
                await stack.enter_async_context(channel)
            calls = await asyncio.gather(*(sent(channel, 6) for channel in channels))
            assert sum(call is not None for call in calls) > CLIENTS // 2
            await until(lambda: process.memory_info().rss < MAX_BYTES)
    # What was freed since the last look is there as well.
    assert peak.bytes < MAX_BYTES + GROWN_BYTES

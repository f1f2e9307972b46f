"""Uploads over a real nats-server and a real store, behind ByteStream on a real gRPC server."""

import contextlib
from dataclasses import dataclass

import grpc
import pytest
from google.bytestream import bytestream_pb2_grpc

from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.services.bytestream import ByteStreamService
from gateway.uploads.sessions import UploadSessions
from gateway.uploads.setup import open_uploads
from servicekit.interceptors import error_boundary

MAX_BYTES = 256 * 1024 * 1024


@dataclass
class Streams:
    """One gateway of several: its own process is played by parts that share nothing but bucket and store."""

    stub: bytestream_pb2_grpc.ByteStreamStub
    uploads: UploadSessions
    assets: AssetStore
    transfers: TransferSlots


@pytest.fixture
async def streams(jetstream, tmp_path):
    """Opens gateways on one store: `await streams()`."""
    async with contextlib.AsyncExitStack() as stack:
        bucket = await jetstream.key_value("uploads")

        async def opened(location="", lifetime_seconds=3600, transfers=8, retention_seconds=3600, **terms):
            assets = AssetStore(
                location or str(tmp_path / "assets"), retention_seconds=retention_seconds, max_bytes=MAX_BYTES
            )
            uploads = await open_uploads(bucket, assets, lifetime_seconds, stack)
            slots = TransferSlots(transfers, allowed_seconds=0.2)
            server = grpc.aio.server(interceptors=[error_boundary(60)])
            service = ByteStreamService(uploads, assets, slots, **terms)
            bytestream_pb2_grpc.add_ByteStreamServicer_to_server(service, server)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            stack.push_async_callback(server.stop, 0)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            return Streams(bytestream_pb2_grpc.ByteStreamStub(channel), uploads, assets, slots)

        yield opened

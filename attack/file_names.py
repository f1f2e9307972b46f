"""Names of files that cost more to clean than to send: long runs of combining marks."""

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from apigpu.v1 import assets_pb2, assets_pb2_grpc
from attack.target import Row, Target
from attack.wire import counted
from servicekit.tls import Identity

# Two marks of different classes in turn: each normal form sorts them.
MARKS = "\u0301\u0323"
RUN = 20_000
CALLS = 4


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Announce uploads under such names by gRPC."""
    for kind, name in (("combining marks", "a" + MARKS * RUN), ("letters", "é" * RUN * 2)):
        upload = functools.partial(_upload, target, f"{name}.mp4")
        yield await target.under(f"file name of {RUN * 2:,} {kind}", upload, max_cpu_seconds=1)


async def _upload(target: Target, name: str) -> str:
    """Announce the file, and leave."""
    certificates = target.pair.certificates
    identity = Identity.read(certificates / "client.crt", certificates / "client.key", certificates / "ca.crt")
    async with grpc.aio.secure_channel(target.pair.target, identity.channel_credentials()) as channel:
        stub = assets_pb2_grpc.AssetServiceStub(channel)
        return counted(await asyncio.gather(*(_announce(stub, name, target.pair.key) for _ in range(CALLS))))


async def _announce(stub: Any, name: str, key: str) -> str:
    header = assets_pb2.UploadAssetRequest(header=assets_pb2.UploadHeader(filename=name))
    call = stub.UploadAsset(iter([header]), metadata=(("x-api-key", key),))
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"

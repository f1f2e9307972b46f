"""Guesses of keys, by both doors, as fast as they are answered; the honest job comes from the same address."""

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from apigpu.v1 import jobs_pb2, jobs_pb2_grpc
from attack.target import Row, Target
from attack.wire import ANSWER_SECONDS, connection, counted, head
from servicekit.tls import Identity

GUESSES = 4_000
AT_ONCE = 20


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Guess by HTTP, then by gRPC."""
    by_http, by_grpc = functools.partial(_guess_http, target), functools.partial(_guess_grpc, target)
    yield await target.under(f"{GUESSES} wrong keys by HTTP", by_http, max_cpu_seconds=10, max_memory_mib=32)
    yield await target.under(f"{GUESSES} wrong keys by gRPC", by_grpc, max_cpu_seconds=10, max_memory_mib=32)


async def _guess_http(target: Target) -> str:
    found = await asyncio.gather(*(_guess_on_one_connection(target, each) for each in range(AT_ONCE)))
    return counted([status for statuses in found for status in statuses])


async def _guess_on_one_connection(target: Target, number: int) -> list[str]:
    found = []
    async with connection(target.pair) as (reader, writer), asyncio.timeout(ANSWER_SECONDS):
        for guess in range(GUESSES // AT_ONCE):
            writer.write(head("GET", "/jobs", {"X-API-Key": f"guess-{number}-{guess}"}))
            answer = await reader.readuntil(b"\r\n\r\n")
            found.append(answer.split(b" ", 2)[1].decode())
            await reader.readexactly(int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    return found


async def _guess_grpc(target: Target) -> str:
    certificates = target.pair.certificates
    identity = Identity.read(certificates / "client.crt", certificates / "client.key", certificates / "ca.crt")
    async with grpc.aio.secure_channel(target.pair.target, identity.channel_credentials()) as channel:
        stub = jobs_pb2_grpc.JobServiceStub(channel)
        found = await asyncio.gather(*(_guess_in_turn(stub, each) for each in range(AT_ONCE)))
    return counted([code for codes in found for code in codes])


async def _guess_in_turn(stub: "jobs_pb2_grpc.JobServiceAsyncStub", number: int) -> list[str]:
    found = []
    for guess in range(GUESSES // AT_ONCE):
        try:
            await stub.ListJobs(jobs_pb2.ListJobsRequest(), metadata=(("x-api-key", f"guess-{number}-{guess}"),))
        except grpc.aio.AioRpcError as error:
            found.append(error.code().name)
    return found

"""A provider, or what stands in its place, whose answers have no end or pack much into little."""

import asyncio
import contextlib
import functools
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from attack.target import Row, Target
from attack.wire import counted
from tools.pair import free_ports

(PORT,) = free_ports(1)
URL = f"http://127.0.0.1:{PORT}"
ENVIRONMENT = {
    "RUNPOD_URL": f"{URL}/v2",
    "RUNPOD_REST_URL": f"{URL}/management/v2",
    "RUNPOD_API_KEY": "rpa_attack",
    "RUNPOD_ENDPOINT_ID": "endpoint",
    "PUBLIC_URL": URL,
}
CALLS = 20
BLANKS = b" " * (4 * 1024 * 1024)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Ask for the health of an endpoint whose provider answers so."""
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(BLANKS) + packer.flush(zlib.Z_FULL_FLUSH)
    more = packer.compress(BLANKS) + packer.flush(zlib.Z_FULL_FLUSH)
    answers = {
        "answers without end": (OK + b"\r\n", b"", BLANKS[:65_536]),
        "packed answers without end": (OK + b"Content-Encoding: gzip\r\n\r\n", head, more),
    }
    for name, parts in answers.items():
        ask = functools.partial(_ask, target, *parts)
        yield await target.under(f"{CALLS} calls of RunPod: {name}", ask, max_cpu_seconds=5, max_memory_mib=128)


async def _ask(target: Target, start: bytes, first: bytes, more: bytes) -> str:
    """Ask many times at once."""
    async with _serving(start + first, more), httpx.AsyncClient(base_url=target.pair.http_url, timeout=60) as client:
        headers = {"x-api-key": target.pair.key}
        asked = await asyncio.gather(*(client.get("/runpod/health", headers=headers) for _ in range(CALLS)))
    return counted([str(one.status_code) for one in asked])


@contextlib.asynccontextmanager
async def _serving(start: bytes, more: bytes) -> AsyncIterator[None]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(start)
            while True:
                writer.write(more)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", PORT)
    async with server:
        yield

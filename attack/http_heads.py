"""Heads that cost more to read than to send, from somebody without a key: many headers, long paths of escapes."""

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path

from attack.target import Row, Target
from attack.wire import connection, counted, status

REQUESTS = 400
AT_ONCE = 20
LINE = b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
HEADS = {
    "16,000 headers": LINE + b"a:\r\n" * 16_000 + b"\r\n",
    "60 KiB of escapes in a path": b"GET /" + b"%41" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "60,000 slashes": b"GET " + b"/" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "1,000 parameters": b"GET /jobs?" + b"a=1&" * 1_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a head of 250 KiB in one read": LINE + b"X-Fill: " + b"a" * 250_000 + b"\r\n\r\n",
    "60 KiB of metadata": LINE + b"Grpc-Metadata-A: " + b"a" * 60_000 + b"\r\n\r\n",
}


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Send each head many times."""
    for name, head in HEADS.items():
        flood = functools.partial(_flood, target, head)
        yield await target.under(f"{REQUESTS} × {name}", flood, max_cpu_seconds=2, max_memory_mib=32)


async def _flood(target: Target, head: bytes) -> str:
    found = await asyncio.gather(*(_send_in_turn(target, head) for _ in range(AT_ONCE)))
    return counted([each for statuses in found for each in statuses])


async def _send_in_turn(target: Target, head: bytes) -> list[str]:
    return [await _send(target, head) for _ in range(REQUESTS // AT_ONCE)]


async def _send(target: Target, head: bytes) -> str:
    async with connection(target.pair) as (reader, writer):
        writer.write(head)
        return await status(reader)

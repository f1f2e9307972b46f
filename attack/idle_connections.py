"""Connections that are opened and left: many more than a service may have."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from attack.target import SECONDS, Row, Target
from attack.wire import head
from servicekit.connections import raise_descriptor_limit

CONNECTIONS = 3000
AT_ONCE = 100
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Open them on each port, silent, and with half of what should come."""
    raise_descriptor_limit()
    http = urlsplit(target.pair.http_url).port or 80
    tls = int(target.pair.target.rpartition(":")[2])
    half = head("GET", "/health")[:-2]
    kinds = (
        ("silent", http, b""),
        ("half a request", http, half),
        ("without TLS", tls, b""),
        ("half of TLS", tls, b"\x16\x03\x01"),
        ("HTTP/2 on the health port", target.pair.health_port, HTTP2 + bytes(3) + b"\x04" + bytes(5)),
    )
    for name, port, sent in kinds:
        hold = functools.partial(_hold, port, sent)
        yield await target.under(f"{CONNECTIONS} idle connections, {name}", hold, max_memory_mib=400)


async def _hold(port: int, sent: bytes) -> str:
    """Open them, and hold those that are not closed."""
    writers: list[asyncio.StreamWriter] = []
    try:
        for _ in range(CONNECTIONS // AT_ONCE):
            writers += [writer for writer in await asyncio.gather(*_connections(port, sent)) if writer]
        await asyncio.sleep(SECONDS / 2)
    finally:
        for writer in writers:
            writer.transport.abort()
    return f"{len(writers)} were accepted"


def _connections(port: int, sent: bytes) -> Iterator["asyncio.Future[asyncio.StreamWriter | None]"]:
    return (asyncio.ensure_future(_connect(port, sent)) for _ in range(AT_ONCE))


async def _connect(port: int, sent: bytes) -> asyncio.StreamWriter | None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        return writer
    return None

"""Downloads and uploads that go on as slowly as they may, to keep others out."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from attack.target import SECONDS, Row, Target
from attack.wire import connection, counted, head, request

READERS = 64
FILE_BYTES = 64 * 1024 * 1024
BYTES_AT_ONCE = 1024


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Read one signed link many times, and send many uploads, a little each second."""
    path = folder / "large.bin"
    path.write_bytes(bytes(FILE_BYTES))
    with target.pair.client() as client:
        link = urlsplit((await asyncio.to_thread(client.upload, path)).download_url)
    own = f"{link.path}?{link.query}"
    readers = functools.partial(_readers, target, own)
    yield await target.under(f"{READERS} slow readers of one link", readers)
    uploads = functools.partial(_uploads, target)
    # The honest client has the same key, and waits until they are slow enough.
    yield await target.under(f"{READERS} slow uploads, right key", uploads, max_job_seconds=None)


async def _readers(target: Target, link: str) -> str:
    """Read, and ask meanwhile with a key, and by the same link, for a part of the file."""
    reading = [asyncio.create_task(_read_slowly(target, link)) for _ in range(READERS)]
    statuses = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SECONDS - 2):
            while True:
                await asyncio.sleep(1)
                statuses.append(await request(target.pair, "GET", link, {"Range": "bytes=0-9"}))
    ended = sum(task.done() for task in reading)
    await _cancel(reading)
    return f"{ended} ended by the gateway; another reader: {counted(statuses)}"


async def _read_slowly(target: Target, link: str) -> None:
    address = urlsplit(target.pair.http_url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=BYTES_AT_ONCE)
    try:
        writer.write(head("GET", link))
        while await reader.read(BYTES_AT_ONCE):
            await asyncio.sleep(1)
    finally:
        writer.transport.abort()


async def _uploads(target: Target) -> str:
    sending = [asyncio.create_task(_send_slowly(target)) for _ in range(READERS)]
    await asyncio.sleep(SECONDS - 2)
    ended = sum(task.done() for task in sending)
    await _cancel(sending)
    return f"{ended} ended by the gateway"


async def _send_slowly(target: Target) -> None:
    headers = {"X-API-Key": target.pair.key, "Content-Length": str(FILE_BYTES)}
    async with connection(target.pair) as (reader, writer):
        writer.write(head("PUT", "/assets/slow.bin", headers))
        answer = asyncio.ensure_future(reader.read(1))
        while not answer.done():
            writer.write(bytes(BYTES_AT_ONCE))
            await asyncio.sleep(1)


async def _cancel(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

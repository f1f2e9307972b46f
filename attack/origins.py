"""Origins of inputs that answer slowly, wastefully or without end, for somebody who has a key."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx

from attack.target import Row, Target
from attack.wire import counted

# The origins are on this machine.
ENVIRONMENT = {"FETCH_ALLOW_CIDRS": "127.0.0.0/8"}
JOBS = 40
BLOCK_BYTES = 64 * 1024
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
# What comes once, and what comes after it without end.
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "interim answers without end": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "headers without end": (OK, b"X: y\r\n"),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n"),
    "trailers without end": (CHUNKED + b"0\r\n", b"X: y\r\n"),
}
DISPOSITION = OK + b"Content-Length: 4\r\nContent-Disposition: attachment" + b";" * 60_000 + b"\r\n\r\nnone"
Route = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Queue jobs whose videos lie at such origins."""
    for name, (start, piece) in ENDLESS.items():
        jobs = functools.partial(_jobs, target, functools.partial(_endless, start, piece))
        yield await target.under(f"{JOBS} downloads: {name}", jobs, max_cpu_seconds=10)
    jobs = functools.partial(_jobs, target, _once)
    yield await target.under(f"{JOBS} downloads: Content-Disposition of 60 KB", jobs, max_cpu_seconds=5)
    for name, start in (("of unknown size", b"\r\n"), ("of 100 MB", b"Content-Length: 100000000\r\n\r\n")):
        jobs = functools.partial(_jobs, target, functools.partial(_trickle, OK + start))
        yield await target.under(f"{JOBS} downloads: a byte a second, {name}", jobs, max_cpu_seconds=5)


async def _jobs(target: Target, route: Route) -> str:
    """Queue the jobs, and wait until they have ended."""
    async with _serving(route) as url, httpx.AsyncClient(base_url=target.pair.http_url) as client:
        client.headers = httpx.Headers({"x-api-key": target.pair.key, "prefer": "respond-async"})
        body = {"url_video": url, "url_srt": url}
        queued = await asyncio.gather(*(client.post("/video/caption", json=body) for _ in range(JOBS)))
        paths = [one.headers["location"] for one in queued]
        try:
            return counted(await asyncio.gather(*(_ended(client, path) for path in paths)))
        finally:  # the next row has the queue for itself
            await asyncio.gather(*(client.post(f"{path}/cancel") for path in paths))


async def _ended(client: httpx.AsyncClient, path: str) -> str:
    while True:
        job = (await client.get(path)).json()
        if job["status"] not in ("IN_QUEUE", "IN_PROGRESS"):
            return str(job["status"])
        await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def _serving(route: Route) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await route(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/video.mp4"


async def _endless(start: bytes, piece: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(start)
    block = piece * (BLOCK_BYTES // len(piece))
    while True:
        writer.write(block)
        await writer.drain()


async def _once(writer: asyncio.StreamWriter) -> None:
    writer.write(DISPOSITION)
    await writer.drain()


async def _trickle(start: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(start)
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)

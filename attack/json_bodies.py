"""Bodies that cost more to read than to send, from somebody without a right key, and from somebody with one."""

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path

from attack.target import Row, Target
from attack.wire import connection, counted, head, request, status

JSON = {"Content-Type": "application/json"}
WRONG_KEY = {**JSON, "X-API-Key": "wrong"}
REPEATED_KEYS = 30_000
EMPTY_ELEMENTS = 200_000
HELD_BODIES = 100
HELD_BYTES = 4 * 1024 * 1024 - 1024
HELD_SECONDS = 5.0


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Repeat a key, nest nothing many times, and hold bodies."""
    right = {**JSON, "X-API-Key": target.pair.key}
    repeated = b"{" + b",".join([b'"url_video":1'] * REPEATED_KEYS) + b"}"
    elements = b'{"images":[' + b",".join([b"{}"] * EMPTY_ELEMENTS) + b"]}"
    for who, headers in (("wrong key", WRONG_KEY), ("right key", right)):
        post = functools.partial(_post, target, headers)
        yield await target.under(f"repeated JSON keys, {who}", functools.partial(post, repeated), max_cpu_seconds=2)
        yield await target.under(f"many empty elements, {who}", functools.partial(post, elements), max_cpu_seconds=4)
    held = functools.partial(_hold, target)
    yield await target.under(f"{HELD_BODIES} held bodies, wrong key", held, max_cpu_seconds=2, max_memory_mib=64)


async def _post(target: Target, headers: dict[str, str], body: bytes) -> str:
    """Post the body four times at once."""
    posts = (request(target.pair, "POST", "/video/caption", headers, body) for _ in range(4))
    return f"{len(body) // 1024} KiB: {counted(await asyncio.gather(*posts))}"


async def _hold(target: Target) -> str:
    return counted(await asyncio.gather(*(_hold_one(target) for _ in range(HELD_BODIES))))


async def _hold_one(target: Target) -> str:
    """Send a body all but its end, and wait."""
    announced = {**WRONG_KEY, "Content-Length": str(HELD_BYTES + 1)}
    async with connection(target.pair) as (reader, writer):
        try:
            writer.write(head("POST", "/video/caption", announced))
            async with asyncio.timeout(HELD_SECONDS):
                writer.write(b" " * HELD_BYTES)
                await writer.drain()
        except (OSError, TimeoutError):
            pass
        return await status(reader, HELD_SECONDS)

"""HTTP/1.1 as attackers write it: bytes on a connection of their own, and no more of the answer than they care for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from urllib.parse import urlsplit

from tools.pair import Pair

ANSWER_SECONDS = 60.0
NOTHING: Mapping[str, str] = {}
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connection(pair: Pair) -> AsyncIterator[Connection]:
    """Open a connection to the HTTP port, and drop it at the end of the block."""
    address = urlsplit(pair.http_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(method: str, path: str, headers: Mapping[str, str] = NOTHING) -> bytes:
    """Return the head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *_lines(headers), "", ""]
    return "\r\n".join(lines).encode()


async def request(pair: Pair, method: str, path: str, headers: Mapping[str, str] = NOTHING, body: bytes = b"") -> str:
    """Send a request on a new connection; return the status of the answer ("401"), or what came in its place."""
    told = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    async with connection(pair) as (reader, writer):
        writer.write(head(method, path, told))
        writer.write(body)
        return await status(reader)


async def status(reader: asyncio.StreamReader, seconds: float = ANSWER_SECONDS) -> str:
    """Read the first line of an answer; return its status, "closed" or "no answer"."""
    try:
        async with asyncio.timeout(seconds):
            line = await reader.readline()
    except TimeoutError:
        return "no answer"
    except OSError:
        return "closed"
    return line.split(b" ")[1].decode() if line.count(b" ") else "closed"


def counted(statuses: list[str]) -> str:
    """Return how often each status came, as a note for a row."""
    return ", ".join(f"{statuses.count(each)} × {each}" for each in sorted(set(statuses)))


def _lines(headers: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}: {value}" for name, value in headers.items())

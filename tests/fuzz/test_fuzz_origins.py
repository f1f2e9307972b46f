"""Answers of origins: the bytes of a file, or an error that names the URL, in bounded time."""

import asyncio
import contextlib
import time

import pytest
from hypothesis import strategies as st

from gateway.sources.fetch import Fetcher
from servicekit.errors import ServiceError
from tests.support.fuzz import bounded, fuzz, in_loop, joined
from tests.support.until import within
from tests.support.web_server import limits

STATUS_LINES = st.sampled_from(
    [
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 302 Found",
        "HTTP/1.1 404 No",
        "HTTP/1.1 500 No",
        "HTTP/1.1 103 Early",
        "HTTP/2 200",
        "x",
    ]
)
VALUES = joined(
    st.sampled_from(
        [
            *("attachment", "; filename=", '"a.mp4"', "filename*=UTF-8''", "%41", "%ff", "\\", '"', ";", "=", ",", " "),
            *(
                "0",
                "3",
                "-1",
                "99999999999999999999",
                "chunked",
                "gzip",
                "identity",
                "http://127.0.0.1:1/",
                "/a",
                "//",
                "é",
            ),
        ]
    ),
    10,
)
NAMES = st.sampled_from(
    [
        "Content-Disposition",
        "Content-Length",
        "Transfer-Encoding",
        "Content-Encoding",
        "Location",
        "Content-Type",
        "Connection",
        "X",
    ]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)


class Origin:
    """A web server whose every answer is `answer`."""

    answer = b""
    port = 0

    async def handle(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answer)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def opened():
    origin, fetcher = Origin(), Fetcher(limits(idle_seconds=2, total_seconds=5))
    server = await asyncio.start_server(origin.handle, "127.0.0.1", 0)
    origin.port = server.sockets[0].getsockname()[1]
    try:
        yield origin, fetcher
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture(scope="module")
def origin():
    with in_loop(opened()) as found:
        yield found


async def fetch(origin, fetcher):
    async with fetcher.open(f"http://127.0.0.1:{origin.port}/clip.mp4") as source:
        return source.filename, b"".join([chunk async for chunk in source.chunks()])


@fuzz(examples=60, first=STATUS_LINES, headers=HEADERS, body=st.binary(max_size=100))
def test_heads(origin, first, headers, body):
    runner, (server, fetcher) = origin
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    server.answer = "\r\n".join(lines).encode("latin-1", errors="ignore") + b"\r\n\r\n" + body
    with bounded(len(server.answer), time.process_time), contextlib.suppress(ServiceError):
        name, data = runner.run(within(fetch(server, fetcher)))
        assert not set(name) & set("/\\\r\n\0")
        assert len(data) <= len(server.answer)

"""Bodies that are made as they are sent: no faster than they are taken, and no longer than an answer does not come."""

import asyncio
import contextlib
import ssl
from ipaddress import ip_network

import pytest

from gateway.sources.guard import AddressGuard, OwnEndpoints, resolve_by_system
from gateway.sources.send import Sender
from servicekit.chunks import CHUNK_BYTES
from servicekit.errors import DeadlineExceeded

SIZE_BYTES = 1 << 30
# What the system's buffers of both ends may take by themselves.
BUFFERED_BYTES = 32 << 20


class Body:
    """A gigabyte, of which it counts what was asked for."""

    made_bytes = 0

    async def chunks(self):
        while self.made_bytes < SIZE_BYTES:
            self.made_bytes += CHUNK_BYTES
            yield bytes(CHUNK_BYTES)


@contextlib.asynccontextmanager
async def receiver(answer):
    """A server that reads the head of a request alone, says its answer, and leaves the connection open."""
    connections = []

    async def accept(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        connections.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
    finally:
        for writer in connections:
            writer.close()
        server.close()
        await server.wait_closed()


def sender(**limits):
    guard = AddressGuard([ip_network("127.0.0.0/8")], OwnEndpoints(), resolve_by_system, 5.0)
    return Sender(guard, ssl.create_default_context(), **limits)


async def test_a_body_is_read_no_faster_than_it_is_taken():
    body = Body()
    async with receiver(b"") as url:
        with pytest.raises(DeadlineExceeded):
            await sender(idle_seconds=0.3).put(url, {}, SIZE_BYTES, body.chunks, 60)
    assert body.made_bytes < BUFFERED_BYTES


async def test_a_body_ends_where_an_answer_comes():
    body = Body()
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 24\r\n\r\n<Code>AccessDenied</Code>"
    async with receiver(refusal) as url:
        answer = await sender().put(url, {}, SIZE_BYTES, body.chunks, 60)
    assert (answer.status, answer.refusal[:18]) == (403, b"<Code>AccessDenied")
    assert body.made_bytes < BUFFERED_BYTES

"""The port, its limits and its end."""

import asyncio
import contextlib
import json
import re
import socket

import httpx
import pytest

from apigpu.v1 import jobs_pb2
from gateway.rest.server import HttpLimits, HttpServer
from servicekit.config import ConfigError
from tests.support.until import within


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"PORT={port}"):
            await HttpServer(app, "127.0.0.1", port).start()


async def test_ipv6():
    server = HttpServer(app, "::1", 0)
    port = await server.start()
    async with httpx.AsyncClient(timeout=60) as client:
        assert (await client.get(f"http://[::1]:{port}/")).status_code == 204
    await server.drain(1)


async def test_answers_are_not_delayed():
    """Nagle's algorithm and delayed acknowledgements together would cost 40 ms an answer."""

    async def look(scope, receive, send):
        [connection] = server.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await app(scope, receive, send)

    server = HttpServer(look, "127.0.0.1", 0)
    port = await server.start()
    async with httpx.AsyncClient(timeout=60) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 204
    await server.drain(1)


async def test_drain_of_a_server_that_never_started():
    await HttpServer(app, "127.0.0.1", 0).drain(1)


async def test_drain_waits_for_open_requests_and_refuses_new_ones(gateway, http):
    started = asyncio.Event()

    async def handle(request, context):
        started.set()
        await asyncio.sleep(0.5)
        return jobs_pb2.ListJobsResponse()

    gateway.handle = handle
    waiting = asyncio.create_task(http.get("/jobs"))
    await started.wait()
    await gateway.server.drain(60)
    assert (await waiting).status_code == 200
    with pytest.raises(httpx.ConnectError):
        await http.get("/jobs")


async def test_what_is_left_after_the_drain_is_answered(gateway, http):
    started = asyncio.Event()

    async def handle(request, context):
        started.set()
        await asyncio.Event().wait()

    gateway.handle = handle
    waiting = asyncio.create_task(http.get("/jobs"))
    await started.wait()
    await within(gateway.server.drain(0.2))
    answer = await waiting
    assert (answer.status_code, answer.json()["error"]) == (503, "Service Unavailable")
    assert "stopping" in answer.json()["message"]


async def test_open_streams_end_with_the_drain(gateway):
    async def watch(request, context):
        yield jobs_pb2.WatchJobResponse(queued=jobs_pb2.Queued(place=1))
        await asyncio.sleep(60)

    gateway.watch = watch
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /job/1/watch HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\n\r\n")
    await reader.readuntil(b"queued")
    await gateway.server.drain(0.1)
    await within(gateway.ended.wait())
    assert b"0\r\n\r\n" not in await reader.read()
    writer.close()


async def exchange(gateway, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(data)
    answer = await within(reader.read())
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_a_head_without_end(gateway):
    line = b"X-Fill: " + b"a" * 1000 + b"\r\n"
    status, body = await exchange(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n" + line * 80)
    assert (status, body["error"]) == (431, "Request Header Fields Too Large")


async def test_what_is_no_http(gateway):
    status, body = await exchange(gateway, b"\x16\x03\x01 hello\r\n\r\n")
    assert (status, body["error"]) == (400, "Bad Request")


@pytest.mark.parametrize("limits", [HttpLimits(head_seconds=0.2)])
async def test_a_head_that_does_not_come(gateway):
    status, body = await exchange(gateway, b"GET / HTTP/1.1\r\nHost:")
    assert (status, body["error"]) == (408, "Request Timeout")


async def test_one_connection_serves_many_requests(gateway):
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    body = b"POST /video/caption HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nContent-Length: 2\r\n\r\n{}"
    writer.write(request + body + request + last)
    answer = await within(reader.read())
    assert answer.count(b"HTTP/1.1 200") == 4
    writer.close()


UNFINISHED = b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def answered(gateway, request):
    """A connection whose first request was answered before its body ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request)
    await an_answer(reader)
    return reader, writer


async def an_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))


@pytest.mark.parametrize("before", [b"", b"1\r\na\r\n"], ids=["unanswered", "answered"])
async def test_trailers_without_end(gateway, before):
    if before:
        reader, writer = await answered(gateway, UNFINISHED)
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"PUT /assets/a HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(before + b"0\r\n" + (b"X-Fill: " + b"a" * 1000 + b"\r\n") * 1040)
    with contextlib.suppress(ConnectionError):
        answer = await within(reader.read())
        assert answer == b"" if before else answer.startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_trailers_are_no_headers(gateway):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        b"POST /jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"2\r\n{}\r\n0\r\nX-API-Key: k\r\n\r\n"
    )
    assert (await reader.read()).startswith(b"HTTP/1.1 401")
    writer.close()


@pytest.mark.parametrize("limits", [HttpLimits(leftover_seconds=0.2)])
async def test_a_body_that_does_not_end_after_the_answer(gateway):
    reader, writer = await answered(gateway, UNFINISHED)
    writer.write(b"1\r\na\r\n")
    assert await within(reader.read()) == b""
    writer.close()


@pytest.mark.parametrize("limits", [HttpLimits(leftover_seconds=2, keep_alive_seconds=2)])
async def test_a_connection_lives_on_after_a_body_that_ended_late(gateway):
    """Neither of the times that run for the first request ends the second, which comes at once and takes longer."""
    reader, writer = await answered(gateway, UNFINISHED)

    async def handle(request, context):
        await asyncio.sleep(2.2)
        return jobs_pb2.ListJobsResponse()

    gateway.handle = handle
    writer.write(b"1\r\na\r\n0\r\n\r\nGET /jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\n\r\n")
    await an_answer(reader)
    assert await within(reader.read()) == b""
    writer.close()


@pytest.mark.parametrize("limits", [HttpLimits(keep_alive_seconds=0.2)])
async def test_an_idle_connection_is_closed_after_a_body_that_ended_late(gateway):
    reader, writer = await answered(gateway, UNFINISHED)
    writer.write(b"0\r\n\r\n")
    assert await within(reader.read()) == b""
    writer.close()


@pytest.mark.parametrize("limits", [HttpLimits(connections=3)])
async def test_idle_connections_are_closed_for_new_ones_and_busy_ones_are_not(gateway):
    started, release = asyncio.Semaphore(0), asyncio.Event()

    async def handle(request, context):
        started.release()
        await release.wait()
        return jobs_pb2.ListJobsResponse()

    gateway.handle = handle
    idle = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(20)]
    busy = []
    for _ in range(3):
        busy.append(await asyncio.open_connection("127.0.0.1", gateway.port))
        busy[-1][1].write(b"GET /jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\n\r\n")
        await within(started.acquire())
    for reader, writer in idle:
        assert await within(reader.read()) == b""
        writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    refusal = await within(reader.read())
    assert refusal.startswith(b"HTTP/1.1 503")
    assert b"\r\nretry-after: 1\r\n" in refusal
    writer.close()
    release.set()
    for reader, writer in busy:
        await within(an_answer(reader))
        writer.close()

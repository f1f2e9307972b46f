"""Heads of requests over a real socket: bounds of each part, in one read and in many, and what is no HTTP/1.1."""

import asyncio
import contextlib
import json

import pytest

from gateway.rest.heads import MAX_HEADERS, MAX_PIPELINED, MAX_TARGET_BYTES
from gateway.rest.server import LIMITS
from tests.integration.gateway.rest.test_rest_errors import answer, check
from tests.support.until import within

LINE = "GET / HTTP/1.1\r\n"
HEAD = f"{LINE}Host: x\r\nConnection: close\r\n"
OWN_WORDS = ("apigpu", "grpc", "metadata", "uvicorn", "python", "socket")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"{HEAD}X-Fill: {'a' * LIMITS.head_bytes}\r\n\r\n", 431),
        (HEAD + f"X-Fill: {'a' * 1000}\r\n" * 70 + "\r\n", 431),
        (HEAD + "A:\r\n" * MAX_HEADERS + "\r\n", 431),
        (f"GET /jobs?{'a' * MAX_TARGET_BYTES} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 414),
        (f"GET /{'%41' * MAX_TARGET_BYTES} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 414),
        (f"GET / HTTP/1.1\r\nHost: {'x' * 1000}\r\nConnection: close\r\n\r\n", 400),
    ],
    ids=["one header", "many bytes", "many headers", "query", "path", "host"],
)
async def test_a_head_over_a_bound_is_refused_in_one_read_too(gateway, head, status):
    found = await answer(gateway.port, head)
    assert (found[0], check(*found)) == (status, "BAD_HEADER" if status == 400 else "HEAD_TOO_LARGE")
    assert not any(word in json.dumps(found[2]["message"]).lower() for word in OWN_WORDS)


async def test_a_head_below_every_bound_is_served(gateway):
    fill = "".join(f"X-Fill-{number}: {'a' * 450}\r\n" for number in range(MAX_HEADERS - 3))
    status, _, _ = await answer(gateway.port, f"{HEAD}{fill}\r\n")
    assert status == 200


FORWARDED = ("Grpc-Metadata-Tenant: {}", "Grpc-Metadata-Raw-Bin: {}", "Authorization: Bearer {}")


@pytest.mark.parametrize("header", FORWARDED)
@pytest.mark.parametrize(("letters", "status"), [(5_600, 200), (6_400, 431), (60_000, 431)])
async def test_headers_that_are_passed_on_have_a_bound_of_their_own(gateway, header, letters, status):
    given = f"X-API-Key: k\r\n{header.format('A' * letters)}\r\n"
    found = await answer(gateway.port, f"GET /jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{given}\r\n")
    assert found[0] == status
    if status != 200:
        assert check(*found) == "HEAD_TOO_LARGE"
        assert not any(word in json.dumps(found[2]["details"]) for word in ("apigpu", "soft limit"))


MALFORMED = {
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two hosts": f"{LINE}Host: x\r\nHost: x\r\n\r\n",
    "two hosts, HTTP/1.0": "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "HTTP/2.0": "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/0.9": "GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/1.2": "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": "GET /\r\n\r\n",
    "a folded header": f"{LINE}Host: x\r\nX-A: b\r\n c\r\n\r\n",
    "a blank before the colon": f"{LINE}Host : x\r\n\r\n",
    "a zero byte": f"{LINE}Host: x\r\nX-A: \0\r\n\r\n",
    "chunked and a length": f"{LINE}Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, HTTP/1.0": "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked is not the last": f"{LINE}Host: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a coding beside chunked": f"{LINE}Host: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": f"{LINE}Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": f"{LINE}Host: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two lengths": f"{LINE}Host: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a signed length": f"{LINE}Host: x\r\nContent-Length: +1\r\n\r\na",
    "a list of lengths": f"{LINE}Host: x\r\nContent-Length: 1, 1\r\n\r\na",
    "a length over 64 bits": f"{LINE}Host: x\r\nContent-Length: {'9' * 25}\r\n\r\n",
    "a tunnel": "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("head", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_http_1_1_is_refused(gateway, head):
    found = await answer(gateway.port, head.encode())
    assert (found[0], check(*found)) == (400, "MALFORMED_HTTP")


async def test_http_1_0_needs_no_host(gateway):
    assert (await answer(gateway.port, "GET / HTTP/1.0\r\n\r\n"))[0] == 200


@pytest.mark.parametrize(("requests", "is_served"), [(MAX_PIPELINED, True), (4_000, False)])
async def test_requests_that_wait_on_one_connection_are_few(gateway, requests, is_served):
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    reader, writer = await open_and_send(gateway, request * (requests - 1) + last)
    answers = 0
    with contextlib.suppress(ConnectionError):
        answers = (await within(reader.read())).count(b"HTTP/1.1 200 ")
    assert answers == requests if is_served else answers <= MAX_PIPELINED
    writer.close()


CHUNKS = {
    "a sign": b"+2\r\n{}\r\n0\r\n\r\n",
    "a prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a blank": b" 2\r\n{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "over 64 bits": b"FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
    "longer than it says": b"2\r\n{}}\r\n0\r\n\r\n",
    "a size below zero": b"-2\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
async def test_malformed_chunks_are_no_body(gateway, body):
    head = "POST /jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nTransfer-Encoding: chunked\r\n\r\n"
    reader, writer = await open_and_send(gateway, head.encode() + body)
    assert (await within(reader.read())).startswith(b"HTTP/1.1 400 ")
    assert gateway.method == ""
    writer.close()


async def open_and_send(gateway, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(data)
    return reader, writer

"""Every error of the HTTP side, whoever makes it: JSON, with a reason that the docs know, and when to try again."""

import asyncio
import json
import re

import grpc
import httpx
import pytest

from apigpu.v1 import system_pb2
from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.auth import ApiKeys
from gateway.rest.server import HttpLimits, HttpServer, RestSettings, build_app
from servicekit import errors
from tests.support.paths import ROOT
from tests.support.until import within

REASONS = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs" / "reference" / "reasons.md").read_text()))
CODES = {code.name for code in grpc.StatusCode}
KEY = "X-API-Key: k\r\n"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


async def answer(port, request):
    """Status, headers and JSON of the answer to a request, given as it goes over the wire."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode() if isinstance(request, str) else request)
    head, _, body = (await within(reader.read())).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body)


def check(status, headers, body):
    """Hold an error against what every error has; return its reason."""
    assert headers["content-type"].startswith("application/json")
    assert {"error", "message", "code", "status", "details"} <= body.keys()
    [info] = [one for one in body["details"] if one["@type"].endswith("google.rpc.ErrorInfo")]
    assert info["domain"] == "api-gpu"
    assert info["reason"] in REASONS | CODES
    waits = [one for one in body["details"] if one["@type"] == RETRY_INFO]
    assert bool(waits) == ("retry-after" in headers)
    if status in (429, 503):
        assert int(headers["retry-after"]) >= 1
    return info["reason"]


def http(line, headers="", body=""):
    return f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{body}"


REFUSED = [
    (http("GET /nowhere"), 404, "NO_SUCH_PATH"),
    (http("GET /files/x"), 404, "NO_SUCH_PATH"),
    (http("GET /files/x/y.mp4"), 403, "LINK_FORGED"),
    (http("POST /files/x/y.mp4", "Content-Length: 0\r\n"), 405, "METHOD_NOT_ALLOWED"),
    (http("DELETE /openapi.json"), 405, "METHOD_NOT_ALLOWED"),
    (http("PUT /jobs", "Content-Length: 0\r\n"), 405, "METHOD_NOT_ALLOWED"),
    (http("OPTIONS /jobs"), 405, "METHOD_NOT_ALLOWED"),
    (http("GET /jobs?status=NO", KEY), 400, "BAD_FIELD"),
    (http("GET /jobs?nothing=1", KEY), 400, "UNKNOWN_FIELD"),
    (http("GET /jobs?x=%ff"), 400, "BAD_QUERY"),
    (http("GET /job/%ff"), 400, "BAD_PATH"),
    (http("GET /jobs", "Grpc-Timeout: soon\r\n"), 400, "BAD_HEADER"),
    (http("GET /jobs", "Grpc-Metadata-A-Bin: ?\r\n"), 400, "BAD_HEADER"),
    ("GET /jobs HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", 400, "BAD_HEADER"),
    (http("POST /video/caption", "Content-Length: 2\r\n", "{}"), 401, "NO_KEY"),
    (http("POST /video/caption", f"{KEY}Content-Length: 2\r\n", "{,"), 400, "BAD_JSON"),
    (http("POST /video/caption", f"{KEY}Content-Length: 9\r\n", '{"url":1}'), 400, "UNKNOWN_FIELD"),
    (http("POST /video/caption", f"{KEY}Content-Length: 99999999\r\n", "{"), 413, "TOO_LARGE"),
    (
        http("POST /video/caption", f"{KEY}Content-Encoding: br\r\nContent-Length: 2\r\n", "{}"),
        415,
        "UNSUPPORTED_MEDIA",
    ),
    (
        http("PUT /assets/a.mp4", f"{KEY}Content-Digest: sha-256=:AAAA:\r\nContent-Length: 1\r\n", "x"),
        400,
        "BAD_DIGEST",
    ),
    (http("GET /", "X-Fill: " + "a" * 70_000 + "\r\n"), 431, "HEAD_TOO_LARGE"),
    ("\x16\x03\x01 hello\r\n\r\n", 400, "MALFORMED_HTTP"),
    (http("GET /", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400, "MALFORMED_HTTP"),
]


@pytest.mark.parametrize(("request_", "status", "reason"), REFUSED, ids=lambda value: str(value)[:40])
async def test_what_the_http_side_refuses(gateway, request_, status, reason):
    found = await answer(gateway.port, request_)
    assert (found[0], check(*found)) == (status, reason)


@pytest.mark.parametrize("limits", [HttpLimits(head_seconds=0.2)])
async def test_a_head_that_is_late(gateway):
    found = await answer(gateway.port, "GET / HTTP/1.1\r\nHost:")
    assert (found[0], check(*found)) == (408, "REQUEST_TIMEOUT")


async def test_a_body_that_stalls(start):
    async with start(RestSettings(body_idle_seconds=0.1)) as gateway:
        found = await answer(gateway.port, http("POST /video/caption", f"{KEY}Content-Length: 9\r\n", "{"))
        assert (found[0], check(*found)) == (408, "REQUEST_TIMEOUT")


async def test_a_preflight_that_is_refused(start):
    async with start(RestSettings(cors_allow_origins=["https://here"])) as gateway:
        headers = "Origin: https://there\r\nAccess-Control-Request-Method: GET\r\n"
        found = await answer(gateway.port, http("OPTIONS /jobs", headers))
        assert (found[0], check(*found)) == (400, "CORS_REFUSED")


@pytest.mark.parametrize("kind", sorted(errors.CLASSES.values(), key=str), ids=lambda kind: kind.__name__)
async def test_every_kind_of_error_of_the_services(gateway, kind):
    async def fail(request, context):
        raise kind("It did not work.")

    gateway.handle = fail
    found = await answer(gateway.port, http("GET /jobs", KEY))
    assert (found[2]["message"], check(*found)) == ("It did not work.", kind.code.name)


async def test_an_unexpected_error(gateway):
    async def fail(request, context):
        raise RuntimeError("no")

    gateway.handle = fail
    found = await answer(gateway.port, http("GET /jobs", KEY))
    assert (found[0], check(*found)) == (500, "UNEXPECTED")


async def test_a_wait_that_the_error_names_is_that_of_the_header(gateway):
    async def fail(request, context):
        raise errors.ResourceExhausted("Slow down.", reason="RATE_LIMIT", retry_seconds=6.2)

    gateway.handle = fail
    status, headers, body = await answer(gateway.port, http("GET /jobs", KEY))
    assert (status, headers["retry-after"], check(status, headers, body)) == (429, "7", "RATE_LIMIT")
    assert {"@type": RETRY_INFO, "retryDelay": "6.200s"} in body["details"]


@pytest.mark.parametrize("reason", sorted(errors.LASTING_LIMITS))
async def test_a_limit_that_waiting_does_not_lift_invites_nobody_to_try_again(gateway, reason):
    async def fail(request, context):
        raise errors.ResourceExhausted("Too much.", reason=reason)

    gateway.handle = fail
    status, headers, body = await answer(gateway.port, http("GET /jobs", KEY))
    assert (status, "retry-after" in headers, check(status, headers, body)) == (413, False, reason)


async def test_a_status_that_only_says_unhealthy_says_when_to_look_again(gateway):
    async def unhealthy(request, context):
        await context.send_initial_metadata((("x-http-code", "503"),))
        return system_pb2.GetRunpodHealthResponse(status="unhealthy")

    gateway.handle = unhealthy
    async with httpx.AsyncClient(base_url=gateway.url, headers={"x-api-key": "k"}, timeout=60) as client:
        found = await client.get("/runpod/health")
    assert (found.status_code, int(found.headers["retry-after"]) >= 1) == (503, True)


async def test_a_gateway_behind_that_is_not_there(tmp_path, gateway):
    assets = AssetStore(str(tmp_path / "others"), retention_seconds=3600, max_bytes=1 << 20)
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/nothing.sock") as channel:
        app = build_app(channel, ApiKeys(["k"]), assets, gateway.links, RestSettings(), TransferSlots(1))
        server = HttpServer(app, "127.0.0.1", 0)
        found = await answer(await server.start(), http("GET /jobs", KEY))
        assert (found[0], check(*found)) == (503, "UNREACHABLE")
        await server.drain(0)

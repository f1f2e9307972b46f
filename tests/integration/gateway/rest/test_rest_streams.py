"""Server streams: NDJSON, server-sent events, downloads."""

import asyncio
import hashlib
import json
import socket

import httpx
import pytest

from apigpu.v1 import assets_pb2, jobs_pb2
from gateway.rest.server import RestSettings
from servicekit import errors
from tests.integration.gateway.rest.conftest import KEY
from tests.support.until import until, within

EVENTS = [
    jobs_pb2.WatchJobResponse(queued=jobs_pb2.Queued(place=2, phase="COLD_START")),
    jobs_pb2.WatchJobResponse(progress=jobs_pb2.Progress(frames_done=5, fps=24.5)),
    jobs_pb2.WatchJobResponse(finished=jobs_pb2.Job(id="1", status="COMPLETED")),
]


def yielding(messages, error=None):
    async def watch(request, context):
        for message in messages:
            yield message
        if error:
            raise error

    return watch


async def test_ndjson(gateway, http):
    gateway.watch = yielding(EVENTS)
    answer = await http.get("/job/1/watch")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [set(line) for line in lines] == [{"result"}] * 3
    assert lines[0] == {"result": {"queued": {"place": 2, "phase": "COLD_START"}}}
    assert lines[1]["result"]["progress"]["fps"] == 24.5
    assert lines[2]["result"]["finished"]["status"] == "COMPLETED"
    assert gateway.request.id == "1"


async def test_lines_come_as_they_are_made(gateway, http):
    go_on = asyncio.Event()

    async def watch(request, context):
        yield EVENTS[0]
        await within(go_on.wait())
        yield EVENTS[2]

    gateway.watch = watch
    async with http.stream("GET", "/job/1/watch") as answer:
        lines = answer.aiter_lines()
        assert "queued" in await anext(lines)
        go_on.set()
        assert "finished" in await anext(lines)


async def test_failure_before_the_first_message(gateway, http):
    gateway.watch = yielding([], errors.NotFound("Job ID does not exist", reason="JOB_NOT_FOUND"))
    answer = await http.get("/job/1/watch")
    assert (answer.status_code, answer.json()["error"]) == (404, "Job not found")


async def test_an_empty_stream(gateway, http):
    gateway.watch = yielding([])
    answer = await http.get("/job/1/watch")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_failure_in_mid_stream_is_the_last_line(gateway, http):
    gateway.watch = yielding(EVENTS[:2], errors.Unavailable("The store is down.", reason="STORE_DOWN"))
    answer = await http.get("/job/1/watch")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) == 3
    error = lines[2]["error"]
    assert (error["code"], error["status"], error["message"]) == (14, "UNAVAILABLE", "The store is down.")
    assert error["details"][0]["reason"] == "STORE_DOWN"


async def test_events(gateway, http):
    gateway.watch = yielding(EVENTS[:1], errors.Unavailable("The store is down."))
    answer = await http.get("/job/1/watch", headers={"accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    first, last = answer.text.strip().split("\n\n")
    assert json.loads(first.removeprefix("data: ")) == {"result": {"queued": {"place": 2, "phase": "COLD_START"}}}
    name, data = last.split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["status"] == "UNAVAILABLE"


async def test_idle_event_streams_are_kept_open(start):
    async with start(RestSettings(ping_seconds=0.05)) as gateway:
        pinged_twice, lines = asyncio.Event(), []

        async def watch(request, context):
            yield EVENTS[0]
            await within(pinged_twice.wait())
            yield EVENTS[2]

        gateway.watch = watch
        stream = f"{gateway.url}/job/1/watch"
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream("GET", stream, headers={"accept": "text/event-stream", "x-api-key": "k"}) as answer,
        ):
            async for line in answer.aiter_lines():
                lines.append(line)
                if lines.count(": ping") == 2:
                    pinged_twice.set()
    assert lines.count(": ping") >= 2
    assert len([line for line in lines if line.startswith("data: ")]) == 2


async def test_idle_lines_are_kept_open_and_stay_lines_of_json(start):
    async with start(RestSettings(ping_seconds=0.05)) as gateway:
        pinged_twice, pieces = asyncio.Event(), []

        async def watch(request, context):
            yield EVENTS[0]
            await within(pinged_twice.wait())
            yield EVENTS[2]

        gateway.watch = watch
        async with (
            httpx.AsyncClient(headers={"x-api-key": KEY}, timeout=60) as client,
            client.stream("GET", f"{gateway.url}/job/1/watch") as answer,
        ):
            async for piece in answer.aiter_raw():
                pieces.append(piece)
                if len(pieces) == 3:
                    pinged_twice.set()
    lines = b"".join(pieces).splitlines()
    assert [set(json.loads(line)["result"]) for line in lines] == [{"queued"}, {"finished"}]


async def test_events_have_ids_and_go_on_from_the_last_one(gateway, http):
    gateway.watch = yielding([jobs_pb2.WatchJobResponse(event_id="1/f", queued=jobs_pb2.Queued(place=2))])
    headers = {"accept": "text/event-stream", "last-event-id": "1/3"}
    answer = await http.get("/job/1/watch", headers=headers)
    assert answer.text.startswith('id: 1/f\ndata: {"result":')
    assert gateway.request.last_event_id == "1/3"


async def test_a_stream_that_is_over_ends_the_reconnecting_of_browsers(gateway, http):
    gateway.watch = yielding([])
    answer = await http.get("/job/1/watch", headers={"accept": "text/event-stream"})
    assert (answer.status_code, answer.content) == (204, b"")


async def hanging(request, context):
    yield EVENTS[0]
    await asyncio.sleep(60)


async def silent(request, context):
    await asyncio.sleep(60)
    yield EVENTS[0]


@pytest.mark.parametrize("watch", [hanging, silent])
async def test_a_client_that_goes_away_ends_the_call(gateway, watch):
    gateway.watch = watch
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /job/1/watch HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\n\r\n")
    if watch is hanging:
        await reader.readuntil(b"queued")
    else:
        while not gateway.method:
            await asyncio.sleep(0.01)
    writer.transport.abort()
    await within(gateway.ended.wait())


async def test_head_of_a_stream(gateway, http):
    gateway.watch = hanging
    answer = await http.head("/job/1/watch")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    await within(gateway.ended.wait())


DATA = bytes(range(256)) * 8192
ASSET = assets_pb2.Asset(
    filename="é.mp4", content_type="video/mp4", size_bytes=len(DATA), sha256=hashlib.sha256(DATA).hexdigest()
)


async def test_a_client_that_takes_nothing_of_a_file_gives_its_place_up(start):
    async def watch(request, context):
        async with gateway.transfers.acquire("another"):
            while True:
                yield assets_pb2.DownloadAssetResponse(chunk=bytes(1 << 20))

    async with start(RestSettings(stall_seconds=0.3)) as gateway:
        gateway.watch = watch
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(b"GET /assets/7/content HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\n\r\n")
            await within(gateway.ended.wait())
            await until(lambda: gateway.transfers.free == 1)


def download(data=DATA, asset=ASSET, error=None):
    about = [assets_pb2.DownloadAssetResponse(asset=asset)] if asset else []
    chunks = [assets_pb2.DownloadAssetResponse(chunk=data[at : at + 500_000]) for at in range(0, len(data), 500_000)]
    return yielding([*about, *chunks], error)


async def test_download(gateway, http):
    gateway.watch = download()
    answer = await http.get("/assets/7/content")
    assert gateway.request.name == "assets/7"
    assert answer.content == DATA
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["content-disposition"] == "attachment; filename=\"_.mp4\"; filename*=UTF-8''%C3%A9.mp4"
    assert answer.headers["etag"] == f'"{ASSET.sha256}"'


async def test_download_from_an_offset(gateway, http):
    gateway.watch = download(DATA[1000:])
    answer = await http.get("/assets/7/content?offset=1000")
    assert gateway.request.offset == 1000
    assert answer.headers["content-length"] == str(len(DATA) - 1000)
    assert answer.content == DATA[1000:]


async def test_download_without_a_description(gateway, http):
    gateway.watch = download(asset=None)
    answer = await http.get("/assets/7/content")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content == DATA


async def test_download_of_nothing(gateway, http):
    gateway.watch = download(b"", assets_pb2.Asset(filename="a"))
    answer = await http.get("/assets/7/content")
    assert (answer.content, answer.headers["content-length"]) == (b"", "0")


async def test_a_download_that_is_refused(gateway, http):
    gateway.watch = download(b"", None, errors.NotFound("No such asset."))
    assert (await http.get("/assets/7/content")).status_code == 404


@pytest.mark.parametrize("asset", [ASSET, None])
async def test_a_download_that_breaks_off_does_not_look_whole(gateway, http, asset):
    gateway.watch = download(DATA[: len(DATA) // 2], asset, errors.DataLoss("The disk is gone."))
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get("/assets/7/content")


async def test_a_download_that_ends_early_does_not_look_whole(gateway, http):
    gateway.watch = download(DATA[:-1])
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get("/assets/7/content")


async def test_a_slow_reader_holds_the_download(gateway):
    sent = 0

    async def watch(request, context):
        nonlocal sent
        for _ in range(400):
            yield assets_pb2.DownloadAssetResponse(chunk=bytes(500_000))
            sent += 500_000

    gateway.watch = watch
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.transport.pause_reading()
    writer.write(b"GET /assets/7/content HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\n\r\n")
    await asyncio.sleep(1)
    assert sent < 30_000_000
    writer.transport.abort()
    await within(gateway.ended.wait())


async def test_head_of_a_download(gateway, http):
    async def describe(request, context):
        return assets_pb2.GetAssetResponse(asset=ASSET)

    gateway.handle = describe
    answer = await http.head("/assets/7/content")
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.content == b""

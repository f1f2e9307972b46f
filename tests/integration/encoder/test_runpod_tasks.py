"""RemoteTasks in this process: what their links may do, and how long all may take."""

import asyncio
import hashlib
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from starlette.responses import RedirectResponse, Response

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.config import EncoderSettings
from encoder.runpod.task import Links, RemoteTasks
from encoder.tasks.executor import open_executor
from servicekit.backoff import Backoff
from servicekit.chunks import HOLE
from servicekit.errors import (
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    InvalidArgument,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from tests.support import link_server
from tests.support.until import HANG_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACKOFF = Backoff(first_seconds=0.01, max_seconds=0.01)
LONG = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=600, frame_rate=60))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving():
    async with link_server.links() as server:
        yield server


@pytest.fixture
def server(serving):
    serving.puts.clear()
    serving.results.clear()
    serving.answers.clear()
    return serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def links():
    async with httpx.AsyncClient(timeout=60) as client:
        yield Links(client, BACKOFF, HANG_SECONDS)


@pytest.fixture
def fetch(server, links, tmp_path):
    async def fetched(answer, retry_seconds=HANG_SECONDS, max_bytes=1000):
        server.inputs["x"] = answer
        await replace(links, retry_seconds=retry_seconds).fetch(
            f"{server.url}/inputs/x", tmp_path / "x", "url_video", max_bytes
        )
        return (tmp_path / "x").read_bytes()

    return fetched


@pytest.fixture
def put(server, links, tmp_path):
    async def sent(*answers, retry_seconds=HANG_SECONDS):
        server.answers[:] = answers
        (tmp_path / "r").write_bytes(b"result")
        told = encoder_pb2.Summary(size_bytes=6, sha256=hashlib.sha256(b"result").hexdigest())
        await replace(links, retry_seconds=retry_seconds).put(f"{server.url}/results/r", tmp_path / "r", told)
        return server.results["r"]

    return sent


async def test_an_input_is_read(fetch):
    assert await fetch(b"bytes") == b"bytes"


async def test_an_outline_of_an_input_has_a_hole(server, links, tmp_path):
    server.inputs["x"] = Response(b"headtail", headers={HOLE: "4-900"})
    found = await links.fetch(f"{server.url}/inputs/x", tmp_path / "x", "url_video", 1000)
    assert (found.has_hole, (tmp_path / "x").read_bytes()) == (True, b"head" + bytes(896) + b"tail")
    with pytest.raises(ResourceExhausted):
        await links.fetch(f"{server.url}/inputs/x", tmp_path / "x", "url_video", 903)
    server.inputs["x"] = Response(b"headtail", headers={HOLE: "what"})
    with pytest.raises(DataLoss):
        await links.fetch(f"{server.url}/inputs/x", tmp_path / "x", "url_video", 1000)


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (RedirectResponse("/inputs/y"), Unavailable, "LINK_REFUSED"),
        (Response(status_code=404), Unavailable, "LINK_REFUSED"),
        (Response(status_code=502), Unavailable, "LINK_REFUSED"),
        (Response(b'{"code": 3}', status_code=500), InvalidArgument, "INVALID_ARGUMENT"),
        (Response(status_code=410), Cancelled, "GONE"),
        (Response(b"x" * 2000), ResourceExhausted, "INPUT_TOO_LARGE"),
        (link_server.status(8, "Later.", "BUSY", 429, url_video="later"), ResourceExhausted, "BUSY"),
    ],
)
async def test_an_input_that_does_not_come(fetch, answer, kind, reason):
    with pytest.raises(kind) as caught:
        await fetch(answer, retry_seconds=0.2)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("code", "reason", "http"), [(14, "DRAINING", 503), (8, "BUSY", 429)])
async def test_an_input_is_read_once_the_gateway_has_time(fetch, server, code, reason, http):
    task = asyncio.create_task(fetch(link_server.status(code, "Later.", reason, http)))
    await asyncio.sleep(0.08)
    server.inputs["x"] = b"bytes"
    assert await task == b"bytes"


async def test_a_body_that_breaks_off_is_not_whole(fetch):
    with pytest.raises(Unavailable) as caught:
        await fetch(link_server.broken_off(), retry_seconds=0.2)
    assert caught.value.reason == "LINK_FAILED"
    assert "http" not in caught.value.message


async def test_a_large_body_of_unknown_length_is_stopped_at_the_limit(fetch):
    with pytest.raises(ResourceExhausted):
        await fetch(link_server.unannounced(1_000_000))


@pytest.mark.parametrize("answers", [(), ("drop", 503), (429, 500), (503,) * 6])
async def test_a_result_is_put_until_it_is_taken(put, server, answers):
    assert await put(*answers) == b"result"
    assert len(server.puts) == len(answers) + 1


@pytest.mark.parametrize(
    ("answers", "most_tries", "reason"),
    [
        ((503,) * 60, 59, "LINK_REFUSED"),
        ((302,), 1, "LINK_REFUSED"),
        ((410,), 1, "GONE"),
        ((404,), 1, "LINK_REFUSED"),
    ],
)
async def test_a_result_that_is_not_taken(put, server, answers, most_tries, reason):
    with pytest.raises(ServiceError) as caught:
        await put(*answers, retry_seconds=0.2)
    assert caught.value.reason == reason
    assert len(server.puts) <= most_tries


async def test_a_task_ends_when_its_time_is_over_or_nobody_waits(server, links, still, tmp_path):
    remote = server.task("t", LONG, url_image=still)

    async def report(progress):
        server.over.add("t")  # FFmpeg is at work

    async with open_executor(EncoderSettings(work_dir=tmp_path / "work", codec="x264")) as executor:
        hasty = replace(executor, settings=executor.settings.model_copy(update={"max_task_seconds": 0.3}))
        with pytest.raises(DeadlineExceeded):
            await RemoteTasks(hasty, links, watch_seconds=60).run(remote, report)
        with pytest.raises(Cancelled):
            await RemoteTasks(executor, links, watch_seconds=0.05).run(remote, report)
        assert server.asked > 1
        assert executor.slots.busy == 0
        assert not list((tmp_path / "work").glob("task-*"))


async def test_further_results_are_put_before_the_first(server, links, clip, tmp_path):
    wanted = video_pb2.ThumbnailRequest(url_video="v", sprites=video_pb2.Sprites(width=64))
    remote = server.task("sheet", video_pb2.Operation(thumbnail=wanted), url_video=clip)
    remote.file_urls.extend(f"{server.url}/results/sheet-{number}" for number in range(2))

    async def report(progress):
        pass

    async with open_executor(EncoderSettings(work_dir=tmp_path / "work", codec="x264")) as shop:
        result = await RemoteTasks(shop, links).run(remote, report)
    assert [file.name for file in result.summary.files] == ["sprites.jpg", "sprites.vtt"]
    assert list(server.results) == ["sheet-0", "sheet-1", "sheet"]
    assert server.results["sheet-1"].startswith(b"WEBVTT")
    assert [(put["content-type"], put.get("content-disposition")) for put in server.puts] == [
        ("image/jpeg", 'attachment; filename="sprites.jpg"'),
        ("text/vtt", 'attachment; filename="sprites.vtt"'),
        ("image/jpeg", None),
    ]

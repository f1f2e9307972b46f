"""The operations as tools for language models, by the client of the protocol's own SDK, against a running pair."""

import asyncio
import shutil
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from mcp import Client as McpClient
from mcp import StdioServerParameters, stdio_client

from api_gpu import Status
from api_gpu.mcp import schemas
from gateway.rest.openapi.examples import examples
from tests.support.command_line import environment
from tests.support.until import until, within
from tools.media_check import footage

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def folder(media, tmp_path):
    """The folder of the server: a video and its subtitles."""
    made = tmp_path / "videos"
    made.mkdir()
    for file in (media.video, media.subtitles):
        shutil.copy(file, made / file.name)
    return made


@asynccontextmanager
async def serving(pair, folder, *options):
    command = ["-m", "api_gpu", "mcp", "--folder", str(folder), *options]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=environment(pair))
    async with McpClient(stdio_client(parameters)) as client:
        yield client


def test_the_tools_take_what_the_api_takes():
    told = {tool.name: tool for tool in schemas.tools(is_fetching=True)}
    assert {"caption", "story", "chain", "probe", "get_job", "list_jobs", "cancel_job", "fetch_results"} <= set(told)
    for tool in told.values():
        Draft202012Validator.check_schema(tool.arguments)
        known = set(tool.arguments.get("$defs", {}))
        assert {name.removeprefix("#/$defs/") for name in schemas.references(tool.arguments)} == known
        assert tool.text
    for name in ("Caption", "Img2Vid", "AddAudio", "Concat", "Thumbnail", "Story", "Probe"):
        Draft202012Validator(told[name.lower()].arguments).validate(examples()[f"VideoService.{name}"]["request"])
    caption = told["caption"].arguments["properties"]
    assert "pattern" not in caption["url_video"]
    assert schemas.LOCAL_FILE in caption["url_video"]["description"]
    assert {"metadata", "dry_run", "webhook_url", "wait_seconds"} <= set(caption)
    assert told["list_jobs"].arguments["properties"]["status"]["enum"]


async def test_a_file_is_captioned_with_progress_and_written_beside_it(pair, folder):
    told = []
    with (folder / "clip.mp4").open("ab") as video:  # too large to go along with the request
        video.write((1 << 18).to_bytes(4, "big") + b"free" + bytes((1 << 18) - 8))

    async def note(done, total, message):
        told.append((done, total, message))

    async with serving(pair, folder) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert listed["caption"].input_schema["required"] == ["url_video"]
        assert listed["get_job"].annotations.read_only_hint
        values = {
            "url_video": "clip.mp4",
            "url_srt": "clip.srt",
            "style": {"preset": "bold"},
            "metadata": {"order": "7"},
        }
        answer = await client.call_tool("caption", values, progress_callback=note)
        assert not answer.is_error, answer.content
        (written,) = answer.structured_content["files_written"]
        job = answer.structured_content["job"]
        assert job["metadata"] == {"order": "7"}
        # A second result takes another name: none is lost.
        again = await client.call_tool("fetch_results", {"id": job["id"]})
        assert again.structured_content["files_written"] != [written]
        found = await client.call_tool("list_jobs", {"metadata": ["order=7"], "status": "COMPLETED"})
        assert [each["id"] for each in found.structured_content["jobs"]] == [job["id"]]
    assert footage(Path(written)).seconds == pytest.approx(2, abs=0.1)
    assert any("uploading clip.mp4" in message for _, _, message in told)
    assert any(message.startswith("downloading") for _, _, message in told)


async def test_what_is_wrong_is_told_to_the_model(pair, folder):
    async with serving(pair, folder, "--links") as client:
        assert "fetch_results" not in {tool.name for tool in (await client.list_tools()).tools}
        outside = await client.call_tool("probe", {"url": "../clip.srt"})
        missing = await client.call_tool("probe", {"url": "nothing.mp4"})
        unknown = await client.call_tool("caption", {"url_video": "clip.mp4", "font_size": 3})
        broken = await client.call_tool("caption", {"url_video": "clip.srt", "url_srt": "clip.srt"})
        nobody = await client.call_tool("get_job", {"id": "0" * 32})
        no_tool = await client.call_tool("paint", {})
    for answer, reason in [
        (outside, "OUTSIDE_FOLDER"),
        (missing, "LOCAL_FILE"),
        (unknown, "INVALID_ARGUMENT"),
        (broken, "BAD_INPUT"),
        (nobody, "JOB_NOT_FOUND"),
        (no_tool, "NO_SUCH_METHOD"),
    ]:
        assert answer.is_error
        assert answer.structured_content["reason"] == reason
        assert answer.structured_content["message"]


async def test_a_call_that_is_given_up_cancels_its_job(pair, folder, media):
    shutil.copy(media.images[0], folder / "still.png")
    runs = asyncio.Event()

    async def note(done, _total, _message):
        if done:
            runs.set()

    values = {"images": [{"id": "long", "image_url": "still.png", "duracao": 600}], "metadata": {"given": "up"}}
    async with serving(pair, folder) as client:
        calling = asyncio.create_task(client.call_tool("img2vid", values, progress_callback=note))
        await within(runs.wait())
        calling.cancel()
        await asyncio.wait([calling])
        with pair.client() as jobs:
            (job,) = jobs.jobs(metadata={"given": "up"})
            await until(lambda: job.refresh().status is Status.CANCELLED)


async def test_a_job_that_is_not_waited_for_is_asked_for_and_cancelled(pair, folder):
    async with serving(pair, folder, "--links") as client:
        probe = await client.call_tool("probe", {"url": "clip.mp4", "wait_seconds": 0})
        job = probe.structured_content["job"]
        ended = await client.call_tool("get_job", {"id": job["id"], "wait_seconds": 60})
        assert ended.structured_content["job"]["media"]["video"][0]["width"] == 320
        done = await client.call_tool("cancel_job", {"id": job["id"]})
        assert done.is_error  # it has ended
        again = (await client.call_tool("retry_job", {"id": job["id"]})).structured_content["job"]
        assert (again["status"], again["id"] != job["id"]) == ("COMPLETED", True)
        stored = await client.call_tool("list_assets", {"content_type": "video", "page_size": 100})
        assert "clip.mp4" in [asset["filename"] for asset in stored.structured_content["assets"]]
        quote = await client.call_tool("caption", {"url_video": "clip.mp4", "url_srt": "clip.srt", "dry_run": True})
        assert quote.structured_content["job"]["quote"]["ok"]

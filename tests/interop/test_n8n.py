"""The package for n8n: linted by n8n's own rules, packed, and its nodes run as n8n runs them, against a pair."""

import base64
import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.interop.toolchain import PACKAGES, ROOT, package, packed, run
from tests.support import media
from tests.support.judge import facts
from tools.pair import Pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

RUN_SECONDS = 240
SUBTITLES = "1\n00:00:00,200 --> 00:00:00,800\nCaptions, by a workflow\n"
WRONG = "assets/" + "a" * 26
Run = dict[str, Any]


@pytest.fixture(scope="module")
def built() -> Path:
    folder = package("n8n")
    run("npm", "run", "build", folder=folder)
    return folder


@pytest.fixture
def workflow(built: Path, pair: Pair):
    """Run nodes one after the other; what each of them gave."""
    (kept,) = pair.data_dir.rglob("webhook.key")
    secret = kept.read_text().strip()
    credentials = {"url": f"{pair.http_url}/", "apiKey": pair.key, "webhookSecret": secret}

    def execute(*runs: Run) -> list[Run]:
        script = Path(__file__).parent / "n8n" / "workflow.js"
        done = subprocess.run(
            ["node", script, built],
            input=json.dumps({"credentials": credentials, "runs": runs}),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        given: list[Run] = json.loads(done.stdout)
        return given

    return execute


def node(resource: str, operation: str, items: list[Run] | None = None, **parameters: Any) -> Run:
    """One node of a workflow, with what it is given."""
    given = {"resource": resource, "operation": operation, **parameters}
    return {"node": "apiGpu", "parameters": given, **({"items": items} if items else {})}


def binary(path: Path, media_type: str) -> Run:
    """An item that holds a file."""
    content = base64.b64encode(path.read_bytes()).decode()
    held = {"id": "filesystem:1", "data": "filesystem", "content": content}
    return {"json": {}, "binary": {"data": {**held, "fileName": path.name, "mimeType": media_type}}}


def test_n8n_finds_nothing_to_complain_of(built: Path) -> None:
    run("npm", "run", "lint", folder=built)


def test_the_rules_of_n8n_are_in_force(built: Path) -> None:
    """Else the test before would say nothing."""
    broken = built / "nodes" / "ApiGpu" / "Broken.node.ts"
    text = (built / "nodes" / "ApiGpu" / "ApiGpu.node.ts").read_text()
    broken.write_text(text.replace("noDataExpression: true,", "").replace("class ApiGpu ", "class Broken "))
    done = subprocess.run(["npm", "run", "lint"], cwd=built, capture_output=True, text=True)
    broken.unlink()
    assert done.returncode == 1
    assert "n8n-nodes-base/node-param-resource-without-no-data-expression" in done.stdout


def test_what_is_packed(built: Path) -> None:
    _, files = packed(built)
    modules = {path.relative_to(built).as_posix() for path in (built / "dist").rglob("*") if path.is_file()}
    told = json.loads((built / "package.json").read_text())
    assert files == {"LICENSE", "README.md", "package.json"} | modules
    assert {*told["n8n"]["nodes"], *told["n8n"]["credentials"], "dist/nodes/ApiGpu/operations.json"} <= files
    assert {path for path in files if path.endswith(".svg")} >= {"dist/nodes/ApiGpu/apiGpu.svg"}
    assert told["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert "dependencies" not in told  # which n8n takes from no package that it verifies
    assert (PACKAGES / "n8n" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_a_video_is_uploaded_captioned_and_downloaded(workflow, tmp_path: Path) -> None:
    film = media.video(tmp_path / "talk.mp4", 1, "320x180", 25, True)
    uploaded, job, again, downloaded = workflow(
        node("file", "upload", [binary(film, "video/mp4")]),
        node(
            "video",
            "caption",
            url_video="$0.name",
            options={"srt_text": SUBTITLES, "output_filename": "mine.mp4"},
            style={"preset": "bold", "marginY": 10},
            jobOptions={"metadata": '{"order": "12"}'},
        ),
        node("job", "retry", jobId="$1.id", waitForJob=True),
        node("file", "download", asset="$1.output.asset"),
    )
    assert uploaded["items"][0]["json"]["filename"] == "talk.mp4"
    ended = job["items"][0]["json"]
    assert (ended["status"], ended["metadata"], ended["operation"]) == ("COMPLETED", {"order": "12"}, "caption")
    assert job["items"][0]["pairedItem"] == {"item": 0}
    assert again["items"][0]["json"]["status"] == "COMPLETED"
    assert again["items"][0]["json"]["id"] != ended["id"]
    found = downloaded["items"][0]["binary"]["data"]
    assert (found["fileName"], found["mimeType"]) == ("mine.mp4", "video/mp4")
    out = tmp_path / "out.mp4"
    out.write_bytes(base64.b64decode(found["data"]))
    assert facts(out).frames == facts(film).frames


def test_a_large_file_that_the_service_has_is_not_sent_again(workflow, tmp_path: Path) -> None:
    film, small = tmp_path / "film.mp4", tmp_path / "small.mp4"
    film.write_bytes(os.urandom(8 * 1024 * 1024))
    small.write_bytes(b"few bytes")
    held, changed, few = binary(film, "video/mp4"), binary(film, "video/mp4"), binary(small, "video/mp4")
    content = base64.b64encode(film.read_bytes()[:-1] + b"!").decode()
    changed["binary"]["data"]["content"] = content
    in_memory = {"fileName": "film.mp4", "mimeType": "video/mp4", "data": content}
    sent = workflow(
        node("file", "upload", [held]),
        node("file", "upload", [held]),
        node("file", "upload", [changed]),
        node("file", "upload", [{"json": {}, "binary": {"data": in_memory}}]),
        node("file", "upload", [held], reuse=False),
        node("file", "upload", [few]),
        node("file", "upload", [few]),
    )
    first, again, other, same_as_other, anew, one, two = (run["items"][0]["json"]["name"] for run in sent)
    assert (again, same_as_other) == (first, other)
    assert len({first, other, anew, one, two}) == 5


def test_all_operations_are_asked_as_they_are_filled_in(workflow, tmp_path: Path) -> None:
    film = media.video(tmp_path / "talk.mp4", 1, "320x180", 25, True)
    still = media.image(tmp_path / "still.png", "320x180")
    dry = {"jobOptions": {"dry_run": True}}
    images = [{"id": "a", "image_url": "$1.name", "duracao": 1}]
    scenes = [{"image_url": "$1.name", "duracao": 1}, {"url_video": "$0.name"}]
    one = {"url_video": "$0.name", **dry}
    found = workflow(
        node("file", "upload", [binary(film, "video/mp4")]),
        node("file", "upload", [binary(still, "image/png")]),
        node("video", "img2vid", images=images, motion={"zoomOut": True}, **dry),
        node("video", "addaudio", url_audio="$0.name", soundtrack={"mix": True, "gain": -6}, **one),
        node("video", "concat", url_videos=["$0.name", "$0.name"], **dry),
        node("video", "thumbnail", options={"format": "png", "at_seconds": 0.5}, **one),
        node("video", "story", scenes=scenes, options={"canvas": "9:16"}, transition={"kind": "wipe"}, **dry),
        node("video", "chain", steps=[{"id": "p", "probe": {"url": "$0.name"}}], **dry),
        node("video", "frame", caption={"url_video": "$0.name", "srt_text": SUBTITLES}),
        node("video", "frame", options={"img2vid": {"images": images}}),
        node("video", "probe", url="$0.name"),
    )
    assert [run.get("error") for run in found] == [None] * len(found)
    for quoted in found[2:-3]:
        assert quoted["items"][0]["json"]["quote"], quoted
    for pictured in found[-3:-1]:
        assert pictured["items"][0]["json"]["output"]["image_url"], pictured
    assert found[-1]["items"][0]["json"]["output"]["media"]["video"][0]["width"] == 320


def test_a_webhook_starts_the_workflow_that_goes_on(workflow, tmp_path: Path) -> None:
    film = media.video(tmp_path / "talk.mp4", 1, "320x180", 25, True)
    asked = node("video", "probe", url="$0.name", wait=False, jobOptions={"webhook_url": "$webhook"})
    upload = node("file", "upload", [binary(film, "video/mp4")])
    _, _, queued, told = workflow(upload, {"hook": "apiGpuTrigger"}, asked, {"awaits": True})
    assert queued["items"][0]["json"]["status"] in ("IN_QUEUE", "IN_PROGRESS", "COMPLETED")
    assert told["status"] == 200
    event = told["items"][0]["json"]
    assert (event["type"], event["data"]["status"]) == ("job.ended", "COMPLETED")
    assert event["data"]["id"] == queued["items"][0]["json"]["id"]
    _, _, _, refused = workflow(upload, {"hook": "apiGpuTrigger", "tampered": True}, asked, {"awaits": True})
    assert (refused["status"], refused["items"]) == (401, [])


def test_errors_say_what_to_do(workflow) -> None:
    one = node("video", "caption", url_video=WRONG, options={"srt_text": SUBTITLES})
    missing, gone, failed, no_json, kept = workflow(
        node("video", "addaudio", url_video=WRONG),
        node("job", "get", jobId="0" * 32),
        one,
        node("video", "img2vid", images="[{"),
        {**one, "items": [{"json": {}}, {"json": {}}], "continueOnFail": True},
    )
    assert (missing["error"]["name"], missing["error"]["httpCode"]) == ("NodeApiError", "400")
    assert "url_audio" in missing["error"]["description"]
    assert (gone["error"]["httpCode"], gone["error"]["description"]) == ("404", "JOB_NOT_FOUND")
    assert failed["error"]["description"].splitlines()[0] == "ASSET_NOT_FOUND"
    assert no_json["error"]["name"] == "NodeOperationError"
    assert no_json["error"]["message"].startswith("Images is no JSON")
    assert [(item["json"]["description"].splitlines()[0], item["pairedItem"]) for item in kept["items"]] == [
        ("ASSET_NOT_FOUND", {"item": 0}),
        ("ASSET_NOT_FOUND", {"item": 1}),
    ]


def test_a_stopped_workflow_cancels_its_job(workflow, pair: Pair, tmp_path: Path) -> None:
    still = media.image(tmp_path / "still.png", "320x180")
    images = [{"id": "a", "image_url": "$0.name", "duracao": 300}]
    asked = node("video", "img2vid", images=images, jobOptions={"metadata": '{"stopped": "yes"}'})
    upload = node("file", "upload", [binary(still, "image/png")])
    for stop_ms in (0, 3000):  # before the first question, and in the midst of one, which would last 50 s
        _, stopped = workflow(upload, {**asked, "stopMs": stop_ms})
        assert "stopped" in stopped["error"]["message"]
    with pair.client() as client:
        assert {job.status for job in client.jobs(metadata={"stopped": "yes"})} == {"CANCELLED"}


def test_calls_are_made_again_while_the_gateway_is_away(workflow, pair: Pair, tmp_path: Path) -> None:
    film = media.video(tmp_path / "again.mp4", 1, "320x180", 25, True)
    asked = node("video", "probe", url="$0.name", jobOptions={"metadata": '{"again": "yes"}'})
    uploaded, done, refused = workflow(
        {**node("file", "upload", [binary(film, "video/mp4")]), "faults": [503, "lost", 502]},
        {**asked, "faults": [503, "lost", 429, 504]},
        {**node("job", "get", jobId="1" * 32), "faults": [503]},
    )
    assert uploaded["items"][0]["json"]["sizeBytes"] == film.stat().st_size
    assert done["items"][0]["json"]["status"] == "COMPLETED"
    assert refused["error"]["httpCode"] == "404"
    with pair.client() as client:
        assert len(list(client.jobs(metadata={"again": "yes"}))) == 1


def test_the_credential_is_tested_by_a_call(workflow) -> None:
    assert [run["status"] for run in workflow({"test": {}}, {"test": {"apiKey": "wrong"}})] == [200, 401]


def test_only_secrets_of_the_gateway_sign(built: Path) -> None:
    """Where none is filled in, nobody can sign."""
    script = Path(__file__).parent / "n8n" / "signed.js"
    done = subprocess.run(["node", script, built], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "own": True,
        "old and new": True,
        "another": False,
        "empty": False,
        "blank": False,
        "prefix": False,
        "short": False,
        "stale": False,
    }

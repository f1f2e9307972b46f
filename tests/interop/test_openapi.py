"""The OpenAPI document: clean by other people's validators, true by a fuzzer, and enough to make a client from."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.rest.openapi.document import document
from gateway.rest.routes import RouteTable
from tests.interop.toolchain import SDK, npm_ci, run, sdk, workplace
from tests.support import media
from tests.support.transcoding.echo import service
from tools.pair import Pair, running

pytestmark = [pytest.mark.interop, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pair that takes as many calls as come."""
    with running(tmp_path_factory.mktemp("pair"), RATE_LIMIT_PER_MINUTE="0") as started:
        yield started


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The document of the gateway, and that of a service with every rule and every kind of field."""
    folder = tmp_path_factory.mktemp("documents")
    made = {"gateway.json": document(RouteTable()), "rules.json": document(RouteTable([service()]))}
    for name, content in made.items():
        (folder / name).write_text(json.dumps(content))
    return [folder / name for name in made]


@pytest.fixture(scope="module")
def linters() -> Path:
    """A folder with spectral and redocly, and their rules."""
    folder = workplace("openapi")
    npm_ci(folder)
    return folder


def test_spectral_finds_nothing(linters, documents):
    run("node_modules/.bin/spectral", "lint", "--fail-severity=hint", *documents, folder=linters)


def test_redocly_finds_nothing(linters, documents):
    run("node_modules/.bin/redocly", "lint", *documents, folder=linters, REDOCLY_TELEMETRY="off")


def test_it_keeps_the_specification(documents):
    for path in documents:
        run(sdk("openapi-spec-validator"), "--errors", "all", path, folder=path.parent)


def test_no_answer_breaks_the_document(pair, tmp_path):
    """Fuzz every operation, and chains of them: no 5xx, no status, header or body but as it is told."""
    schema = httpx.get(f"{pair.http_url}/openapi.json").json()
    link_assets(schema)
    add_examples(schema, pair, tmp_path)
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(schema))
    tools = Path(__file__).parent / "openapi"
    run(
        *(sdk("schemathesis"), "--config-file", tools / "schemathesis.toml", "run", path, "--url", pair.http_url),
        *("--header", f"X-API-Key: {pair.key}", "--no-color"),
        folder=tmp_path,
        SCHEMATHESIS_HOOKS=str(tools / "hooks.py"),
    )
    done = f"{pair.http_url}/jobs?status=COMPLETED&page_size=1000"
    ended = httpx.get(done, headers={"X-API-Key": pair.key}).json()
    done_ones = {job["operation"] for job in ended["jobs"]}
    assert done_ones >= {"caption", "addaudio", "img2vid", "concat", "thumbnail", "story"}


def add_examples(schema, pair, folder):
    """Tell a request of each operation that can be done, with files that are there."""
    files = [
        media.video(folder / "a.mp4", 0.4),
        media.srt(folder / "a.srt", [(0, 0.3, "Captions")]),
        media.tone(folder / "a.mp3", 0.4),
        media.image(folder / "a.png", "64x36"),
    ]
    with pair.client() as client:
        video, subtitles, audio, image = (client.upload(file).name for file in files)
    examples = {
        "caption": {"url_video": video, "url_srt": subtitles},
        "addaudio": {"url_video": video, "url_audio": audio},
        "img2vid": {"images": [{"id": "a", "image_url": image, "duracao": 0.2}], "width": 64, "height": 36},
        "concat": {"url_videos": [video, video]},
        "thumbnail": {"url_video": video},
        "story": {"scenes": [{"image_url": image, "duracao": 0.2}], "width": 64, "height": 36},
    }
    for name, example in {f"/video/{name}": example for name, example in examples.items()}.items():
        content = schema["paths"][name]["post"]["requestBody"]["content"]
        content["application/json"]["examples"] = {"real": {"value": example}}


def test_what_it_says_of_keys_is_so(pair):
    schema = httpx.get(f"{pair.http_url}/openapi.json").json()
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            answer = httpx.request(method, pair.http_url + re.sub("{.+?}", "x", path))
            needs_key = operation.get("security", schema["security"]) != []
            assert (answer.status_code == 401) == needs_key, f"{method} {path}"


def link_assets(schema):
    """Tell how the name in an asset becomes the id in a path, which OpenAPI has no words for."""
    asset = {"asset": "$response.body#/name#regex:assets/(.+)"}
    ids = ("AssetService_GetAsset", "AssetService_DownloadAsset", "AssetService_DeleteAsset")
    links = {name: {"operationId": name, "parameters": asset} for name in ids}
    for method in ("put", "post"):
        schema["paths"]["/assets"][method]["responses"]["200"]["links"] = links


def test_a_client_that_is_made_of_it_works(pair, inputs, tmp_path):
    path = tmp_path / "openapi.json"
    path.write_bytes(httpx.get(f"{pair.http_url}/openapi.json").content)
    # Beside the generator lies what formats its code.
    tools = os.pathsep.join([str(SDK / "bin"), os.environ["PATH"]])
    package, config = tmp_path / "apigpu_client", tmp_path / "generator.json"
    # A playlist is text, of a type that it does not know by itself.
    config.write_text(json.dumps({"content_type_overrides": {"application/vnd.apple.mpegurl": "text/plain"}}))
    run(
        *(sdk("openapi-python-client"), "generate", "--path", path, "--output-path", package),
        *("--meta", "none", "--fail-on-warning", "--config", config),
        folder=tmp_path,
        PATH=tools,
    )
    out = tmp_path / "out.mp4"
    client = Path(__file__).parent / "openapi" / "client.py"
    done = subprocess.run(
        [sdk("python"), client, pair.http_url, pair.key, *inputs, out],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "status": "COMPLETED",
        "bytes": out.stat().st_size,
        "preset": "box",
        "health": "healthy",
        "runpod": "unhealthy",
        "refused": [400, "Failed to cancel job", "FAILED_PRECONDITION"],
        "jobs": [True],
        "last_event": "COMPLETED",
        "gone": "NOT_FOUND",
    }

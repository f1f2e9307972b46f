"""frame through the pair: by the client, by the command line, as JSON."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import pytest

from api_gpu import Client
from tests.integration.api_gpu.conftest import Run
from tools.pair import Pair
from tools.samples import Samples


@pytest.fixture
def http(pair: Pair) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pair.http_url, headers={"X-API-Key": pair.key}, timeout=60) as client:
        yield client


def shape(data: bytes) -> tuple[str, int, int]:
    """Codec, width and height of an image."""
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        return container.streams.video[0].codec_context.name, frame.width, frame.height


def uploaded(http: httpx.Client, path: Path) -> str:
    name: str = http.put(f"/assets/{path.name}", content=path.read_bytes()).raise_for_status().json()["name"]
    return name


def test_json_answers_with_a_picture(http: httpx.Client, media: Samples) -> None:
    caption = {"url_video": uploaded(http, media.video), "srt_text": "1\n00:00:00,500 --> 00:00:01,000\nHello\n"}
    request = {"caption": {**caption, "output_filename": "talk.mp4"}, "at_seconds": 0.7, "width": 160}
    answer = http.post("/video/frame", json=request).json()
    assert list(answer) == ["code", "message", "image_url", "execution", "stats", "asset", "warnings"]
    assert (answer["message"], answer["warnings"]) == ("Frame rendered successfully", [])
    assert "/talk.jpg?" in answer["image_url"]
    assert shape(httpx.get(answer["image_url"], timeout=60).content) == ("mjpeg", 160, 120)
    body, wait = {"frame": {**request, "format": "png"}}, {"Prefer": "wait=60"}
    job = http.post("/jobs", json=body, headers=wait).json()
    assert (job["operation"], [file["name"] for file in job["output"]["files"]]) == ("frame", ["talk.png"])
    late = http.post("/video/frame", json={**request, "at_seconds": 9})
    assert (late.status_code, late.json()["message"]) == (
        400,
        "at_seconds: 9 s is past the end; the video lasts 2.000 s.",
    )


def test_what_is_missing_or_too_much_is_refused(http: httpx.Client) -> None:
    image = {"image_url": "https://example.com/a.png", "duracao": 1}
    two = {"images": [{**image, "id": "a"}, {**image, "id": "b"}]}
    for body, text in (
        ({}, "caption or img2vid is required"),
        ({"caption": {"url_video": "https://example.com/a.mp4"}}, "url_video and url_srt are required"),
        ({"img2vid": two}, "img2vid.images has 2 elements and one is allowed here; send a request for each."),
    ):
        answer = http.post("/video/frame", json=body)
        assert (answer.status_code, answer.json()["message"]) == (400, text)


def test_the_client_renders_a_picture(client: Client, media: Samples, tmp_path: Path) -> None:
    job = client.frame(img2vid={"images": [{"source": media.images[0]}], "width": 320, "height": 180}, format="png")
    done = job.wait()
    assert (done.video_url, done.codec) == ("", "")
    assert shape(client.download(done.asset, tmp_path / "a.png").read_bytes()) == ("png", 320, 180)
    quote = client.quote("frame", caption={"video": media.video, "subtitles": media.subtitles}, at_seconds=1)
    assert not quote.faults


def test_the_command_line_renders_pictures(run: Run, media: Samples, tmp_path: Path) -> None:
    done = run("frame", "caption", media.video, media.subtitles, "--at-seconds", 1, "--size", 9)
    assert (done.returncode, done.stdout) == (0, "clip-frame.jpg\n"), done.stderr
    assert shape((tmp_path / "clip-frame.jpg").read_bytes()) == ("mjpeg", 320, 240)
    sizes = ("--width", 320, "--height", 180, "--picture-width", 64)
    done = run("frame", "img2vid", media.images[0], *sizes, "--seconds", 2, "-o", "shown.png")
    assert (done.returncode, done.stdout) == (0, "shown.png\n"), done.stderr
    assert shape((tmp_path / "shown.png").read_bytes()) == ("png", 64, 36)

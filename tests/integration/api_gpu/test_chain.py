"""Chains through the pair: by the client, by the command line, as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_gpu import Client
from servicekit.errors import FailedPrecondition, InvalidArgument
from tests.integration.api_gpu.conftest import AUDIO_SECONDS, Run
from tools.media_check import footage
from tools.pair import Pair
from tools.samples import Samples


@pytest.fixture
def http(pair: Pair) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pair.http_url, headers={"X-API-Key": pair.key}, timeout=60) as client:
        yield client


def film(media: Samples) -> list[dict[str, Any]]:
    """Two clips of 1 s each, joined, with sound and captions, and a picture of it; in no order."""
    return [
        {"id": "done", "caption": {"video": "step:talk", "subtitles": media.subtitles}},
        {"id": "talk", "addaudio": {"video": "step:film", "audio": media.audio}},
        {"id": "film", "concat": {"videos": ["step:clips"], "width": 160, "height": 90}},
        {
            "id": "clips",
            "img2vid": {
                "images": [{"id": name, "source": media.images[0], "seconds": 1} for name in "ab"],
                "width": 160,
                "height": 90,
                "fps": 10,
            },
        },
        {"id": "cover", "thumbnail": {"video": "step:clips[1]"}},
    ]


def test_the_client_makes_a_film_of_steps(client: Client, media: Samples, tmp_path: Path) -> None:
    job = client.chain(film(media)).wait()
    assert (job.operation, job.processed, job.total) == ("chain", 6, 6)
    results = {clip.id: clip.asset for clip in job.clips}
    assert list(results) == ["done", "cover"]
    made = footage(client.download(results["done"], tmp_path / "done.mp4"))
    assert (made.width, made.height) == (160, 90)
    assert made.seconds == pytest.approx(AUDIO_SECONDS, abs=0.1)
    assert client.asset(results["cover"]).filename == f"{media.images[0].stem}-cover.jpg"


def test_one_result_is_told_as_that_of_its_operation(client: Client, media: Samples) -> None:
    job = client.chain(film(media), keep=["cover"]).wait()
    assert (job.clips, job.video_url) == ((), "")
    assert f"/{media.images[0].stem}-cover.jpg?" in job.image_url
    assert job.asset == job.files[0].asset


def test_a_step_that_fails_is_named(client: Client, media: Samples) -> None:
    steps = film(media)
    steps[1] = {"id": "talk", "addaudio": {"video": "step:film", "audio": media.images[0]}}
    job = client.chain(steps)
    with pytest.raises((FailedPrecondition, InvalidArgument)) as caught:
        job.wait()
    assert caught.value.message.startswith("Step talk: url_audio: ")


def test_a_chain_that_can_be_none_is_refused_at_once(http: httpx.Client) -> None:
    steps = [{"id": "a", "thumbnail": {"url_video": "step:b"}}, {"id": "b", "thumbnail": {"url_video": "step:a"}}]
    answer = http.post("/jobs", json={"chain": {"steps": steps}})
    assert answer.status_code == 400
    assert answer.json()["message"] == "No step can be the first one: a needs b needs a."
    steps[1]["thumbnail"]["url_video"] = "step:c"  # type: ignore[index]
    answer = http.post("/jobs", json={"chain": {"steps": steps}})
    assert answer.json()["message"].startswith("steps[1].thumbnail.url_video: there is no step 'c'")


def test_the_command_line_takes_a_plan(run: Run, client: Client, media: Samples, tmp_path: Path) -> None:
    chain = {
        "steps": [
            {"id": "film", "concat": {"url_videos": [str(media.video), str(media.video)]}},
            {"id": "cover", "thumbnail": {"url_video": "step:film", "format": "IMAGE_FORMAT_PNG"}},
        ],
        "keep": ["film", "cover"],
    }
    (tmp_path / "plan.json").write_text(json.dumps({"chain": chain}))
    done = run("chain", "plan.json", "-o", "made")
    assert (done.returncode, done.stdout.split()) == (0, ["made/film.mp4", "made/cover.png"])
    assert footage(tmp_path / "made" / "film.mp4").frames == 100
    assert (tmp_path / "made" / "cover.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "plan.json").write_text(json.dumps({"steps": chain["steps"]}))
    assert run("chain", "plan.json", "-o", "cover.png").returncode == 0
    assert run("chain", "plan.json", "-o", "cover.png").returncode == 2
    (tmp_path / "plan.json").write_text('{"steps": [], "kept": []}')
    done = run("chain", "plan.json")
    assert (done.returncode, "it has kept" in done.stderr) == (2, True)

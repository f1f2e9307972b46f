"""Dry runs through the pair: what a job would do, and all that is wrong with it; nothing is made."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_gpu import Client
from apigpu.v1 import video_pb2
from servicekit.errors import InvalidArgument, NotFound
from tests.integration.api_gpu.conftest import AUDIO_SECONDS, VIDEO_SECONDS, Run, append_hole
from tools.pair import Pair
from tools.samples import Samples, ffmpeg

Answer = dict[str, Any]


@pytest.fixture
def http(pair: Pair) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pair.http_url, headers={"X-API-Key": pair.key}, timeout=60) as client:
        yield client


def stored(http: httpx.Client, path: Path) -> str:
    name: str = http.put(f"/assets/{path.name}", content=path.read_bytes()).raise_for_status().json()["name"]
    return name


def quoted(http: httpx.Client, operation: str, **body: Any) -> Answer:
    """What a dry run answers with status 200."""
    response = http.post(f"/video/{operation}", json={**body, "dry_run": True})
    assert response.status_code == 200, response.text
    answer: Answer = response.json()
    assert answer["quote"]["ok"] is (answer["status"] == "COMPLETED") is not answer["quote"]["faults"]
    return answer


def wrong(answer: Answer) -> set[str]:
    return {name for fault in answer["quote"]["faults"] for name in fault["fields"]}


def data_uri(text: str) -> str:
    return f"data:text/plain;base64,{base64.b64encode(text.encode()).decode()}"


def test_a_dry_run_tells_what_a_job_would_do_and_makes_none(http: httpx.Client, client: Client, media: Samples) -> None:
    video, audio, still = (stored(http, path) for path in (media.video, media.audio, media.images[0]))
    before = [job.id for job in client.jobs()]
    subtitles = data_uri(media.subtitles.read_text())
    answer = quoted(http, "caption", url_video=video, url_srt=subtitles, metadata={"order": "7"})
    assert (answer["operation"], answer["total"], answer["metadata"]) == ("caption", 1, {"order": "7"})
    (result,) = answer["quote"]["results"]
    assert result["duration"] == pytest.approx(VIDEO_SECONDS, abs=0.05)
    assert (result["frames"], result["width"], result["height"], result["codec"]) == (50, 320, 240, "x264")
    (estimate,) = answer["quote"]["estimates"]
    assert (estimate["encoders"], estimate["usd"]) == (1, {"low": 0, "high": 0})
    assert "own encoders" in estimate["basis"]
    (result,) = quoted(http, "addaudio", url_video=video, url_audio=audio)["quote"]["results"]
    assert (result["duration"], result["codec"]) == (pytest.approx(AUDIO_SECONDS, abs=0.1), "copy")
    images = [{"id": name, "image_url": still, "duracao": seconds} for name, seconds in (("a", 1), ("b", 2))]
    answer = quoted(http, "img2vid", images=images, width=64, height=48)
    told = [(one["id"], one["frames"], one["width"]) for one in answer["quote"]["results"]]
    assert told == [("a", 24, 64), ("b", 48, 64)]
    scenes = [{"image_url": still, "duracao": 1}, {"url_video": video}]
    (result,) = quoted(http, "story", scenes=scenes, width=64, height=64)["quote"]["results"]
    assert (result["duration"], result["frames"], len(result["scenes"])) == (pytest.approx(3.0), 72, 2)
    assert result["tasks"] == 5
    assert quoted(http, "probe", url=video)["quote"]["results"][0]["operation"] == "probe"
    assert [job.id for job in client.jobs()] == before
    with pytest.raises(NotFound):
        client.get(answer["id"])


def test_all_faults_of_the_request_and_its_inputs_are_told_at_once(http: httpx.Client, media: Samples) -> None:
    text, video = stored(http, media.subtitles), stored(http, media.video)
    style = {"size": 9999}
    answer = quoted(
        http, "caption", url_video=text, url_srt=data_uri("no captions"), style=style, webhook_url="ftp://x"
    )
    assert wrong(answer) >= {"url_video", "url_srt", "webhook_url"}
    assert any(name.startswith("style.") for name in wrong(answer))
    assert set(answer["error"]["fields"]) == wrong(answer)
    absent = "assets/" + "a" * 26
    answer = quoted(http, "addaudio", url_video=absent, url_audio=text)
    assert wrong(answer) == {"url_video", "url_audio"}
    answer = quoted(http, "concat", url_videos=[video, text, absent, "ftp://example.com/a.mp4"])
    assert wrong(answer) == {f"url_videos[{number}]" for number in (1, 2, 3)}
    images = [{"id": "a", "image_url": text, "duracao": 1}, {"id": "b", "image_url": absent, "duracao": 0.01}]
    answer = quoted(http, "img2vid", images=images)
    assert wrong(answer) == {"images[0].image_url", "images[1].image_url", "images[1].duracao"}
    answer = quoted(http, "thumbnail", url_video=video, at_seconds=99)
    assert wrong(answer) == {"at_seconds"}
    assert quoted(http, "caption")["quote"]["faults"][0]["message"] == "url_video and url_srt are required"


def test_no_address_is_told_more_of_than_by_a_job(http: httpx.Client, pair: Pair) -> None:
    for url in ("http://169.254.169.254/latest", f"{pair.http_url}/health"):
        (fault,) = quoted(http, "probe", url=url)["quote"]["faults"]
        job = http.post("/video/probe", json={"url": url}).json()
        assert (fault["reason"], fault["message"]) == (job["details"][0]["reason"], job["message"])


def test_a_chain_is_told_as_far_as_it_is_known(http: httpx.Client, media: Samples) -> None:
    video, text = stored(http, media.video), stored(http, media.subtitles)
    steps = [
        {"id": "film", "concat": {"url_videos": [video, video]}},
        {"id": "cover", "thumbnail": {"url_video": "step:film"}},
    ]
    answer = http.post("/jobs", json={"chain": {"steps": steps}, "dry_run": True}).raise_for_status().json()
    assert [(one["id"], one["operation"]) for one in answer["quote"]["results"]] == [("film", "concat")]
    assert "other steps" in answer["quote"]["unknown"][0]
    steps[0]["concat"]["url_videos"] = [video, text]
    answer = http.post("/jobs", json={"chain": {"steps": steps}, "dry_run": True}).raise_for_status().json()
    assert wrong(answer) == {"steps[0].concat.url_videos[1]"}


def test_of_a_large_video_the_ends_are_looked_at(client: Client, media: Samples, tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    ffmpeg("-i", str(media.video), "-c", "copy", "-movflags", "+faststart", str(path))
    append_hole(path, 80 * 1024 * 1024)
    quote = client.quote("caption", path, srt_text=media.subtitles.read_text())
    assert (quote.ok, list(quote.unknown), quote.results[0].frames) == (True, [], 50)


def test_the_command_line_prints_it(run: Run, media: Samples, tmp_path: Path) -> None:
    done = run("caption", str(media.video), str(media.subtitles), "--dry-run")
    assert done.stdout.startswith("caption: 320x240, 2.000 s, 50 frames, made by x264")
    assert not list(tmp_path.glob("*.mp4"))
    done = run("caption", str(media.subtitles), str(media.video), "--dry-run")
    assert done.returncode == 1
    assert "url_video" in done.stderr
    assert "url_srt" in done.stderr


def test_over_grpc_it_is_a_job_that_is_asked(client: Client, media: Samples) -> None:
    job = client.quoting().probe(media.video)
    assert job.quote is not None
    assert (job.quote.ok, job.status) == (True, "COMPLETED")
    with pytest.raises(InvalidArgument):
        client.quote("caption", media.video, media.subtitles, style={"size": "large"})


def test_what_is_said_beside_a_dry_run_makes_no_job_of_it(http: httpx.Client, client: Client, media: Samples) -> None:
    probe = video_pb2.Operation(probe=video_pb2.ProbeRequest(url=stored(http, media.video)))
    before = [job.id for job in client.jobs()]
    quoting = client.quoting()
    noted = {"order": "7"}
    for job in (quoting.submit(probe, metadata=noted), quoting.telling(metadata=noted).submit(probe)):
        assert (job.quote is not None, job.metadata) == (True, noted)
    assert [job.id for job in client.jobs()] == before

"""concat and thumbnail through the pair: by the client, by the command line, as JSON."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import pytest

from api_gpu import Client, Sprites
from servicekit.errors import InvalidArgument, NotFound
from tests.integration.api_gpu.conftest import VIDEO_SECONDS, Run
from tools.media_check import footage
from tools.pair import Pair
from tools.samples import Samples


@pytest.fixture
def http(pair: Pair) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pair.http_url, headers={"X-API-Key": pair.key}, timeout=60) as client:
        yield client


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of an image."""
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        return frame.width, frame.height


def uploaded(http: httpx.Client, path: Path) -> str:
    name: str = http.put(f"/assets/{path.name}", content=path.read_bytes()).raise_for_status().json()["name"]
    return name


def test_the_client_joins_videos(client: Client, media: Samples, tmp_path: Path) -> None:
    job = client.concat([media.video, media.video, media.video]).wait()
    made = footage(client.download(job.asset, tmp_path / "out.mp4"))
    assert made.seconds == pytest.approx(3 * VIDEO_SECONDS, abs=0.04)
    assert (job.codec, job.files, job.image_url) == ("copy", (), "")
    assert "/clip-concat.mp4?" in job.video_url
    job = client.concat([media.video, media.video], width=160, height=160, fps=10).wait()
    made = footage(client.download(job.asset, tmp_path / "small.mp4"))
    assert (made.width, made.height, made.frames) == (160, 160, 40)


def test_a_small_result_comes_along_with_the_end_of_its_job(client: Client, media: Samples, tmp_path: Path) -> None:
    job = client.thumbnail(media.video, width=160).wait()
    stored = client.download(job.asset, tmp_path / "stored.jpg").read_bytes()
    assert job.result == stored
    client.delete(job.asset)  # so that there is nothing to be downloaded
    told: list[tuple[int, int | None]] = []
    made = client.download(job, tmp_path / "made.jpg", lambda *passed: told.append(passed))
    assert (made.read_bytes(), told) == (stored, [(len(stored), len(stored))])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.jpg", "stored.jpg"]
    with pytest.raises(NotFound):  # of a job that was read it is not there
        client.download(client.get(job.id), tmp_path / "gone.jpg")
    with pytest.raises(NotFound) as caught:
        client.download(job, tmp_path / "no folder" / "a.jpg")
    assert caught.value.reason == "LOCAL_FILE"


def test_the_client_downloads_a_larger_result_by_its_job(client: Client, media: Samples, tmp_path: Path) -> None:
    job = client.concat([media.video, media.video]).wait()
    made = client.download(job, tmp_path / "out.mp4")
    assert (job.result, made.stat().st_size > 64 * 1024) == (b"", True)
    assert footage(made).seconds == pytest.approx(2 * VIDEO_SECONDS, abs=0.04)
    with pytest.raises(NotFound) as caught:
        client.download(client.probe(media.video).wait(), tmp_path / "none")
    assert caught.value.reason == "NO_RESULT"


def test_the_client_takes_a_picture_with_sprites(client: Client, media: Samples, tmp_path: Path) -> None:
    job = client.thumbnail(media.video, at_seconds=1, format="png", width=160, sprites=Sprites(columns=2)).wait()
    assert [(file.name, file.content_type) for file in job.files] == [
        ("clip-thumbnail.png", "image/png"),
        ("sprites.jpg", "image/jpeg"),
        ("sprites.vtt", "text/vtt"),
    ]
    assert (job.video_url, job.codec, job.asset) == ("", "", job.files[0].asset)
    contents = [httpx.get(file.url, timeout=60) for file in job.files]
    assert [answer.headers["content-type"].partition(";")[0] for answer in contents] == [
        file.content_type for file in job.files
    ]
    assert httpx.get(job.image_url, timeout=60).content == contents[0].content
    assert [size_of(answer.content) for answer in contents[:2]] == [(160, 120), (320, 120)]
    assert contents[2].text.startswith("WEBVTT")
    assert client.download(job.files[2].asset, tmp_path / "s.vtt").read_text() == contents[2].text


def test_a_list_of_inputs_is_checked_by_element(http: httpx.Client, client: Client, media: Samples) -> None:
    video = uploaded(http, media.video)
    empty = http.post("/video/concat", json={"url_videos": [video, " "]})
    assert (empty.status_code, empty.json()["message"]) == (
        400,
        "url_videos[1] is empty; give a source, or leave it out.",
    )
    missing = http.post("/video/concat", json={"url_videos": []})
    assert missing.json()["message"] == "url_videos is required with at least one video"
    gone = http.post("/video/concat", json={"url_videos": [video, "assets/aaaaaaaaaaaaaaaaaaaaaaaaaa"]})
    assert gone.status_code == 404
    assert gone.json()["message"].startswith("url_videos[1]: ")
    many = http.post("/video/concat", json={"url_videos": [video] * 51})
    assert many.json()["message"] == "url_videos has 51 elements and 50 are the most."
    with pytest.raises(InvalidArgument) as caught:
        client.concat([media.video, media.audio]).wait()
    assert str(caught.value.message).startswith("url_videos[1]: the file is not a video")


def test_json_answers(http: httpx.Client, media: Samples) -> None:
    video = uploaded(http, media.video)
    answer = http.post("/video/concat", json={"url_videos": [video, video]}).json()
    assert list(answer) == [*("code", "message", "video_url", "execution", "stats", "asset", "warnings", "encoding")]
    assert answer["message"] == "Videos concatenated successfully"
    answer = http.post("/video/thumbnail", json={"url_video": video, "format": "webp", "at_seconds": 0.5}).json()
    assert list(answer) == ["code", "message", "image_url", "execution", "stats", "asset", "warnings", "files"]
    assert httpx.get(answer["image_url"], timeout=60).headers["content-type"] == "image/webp"
    job = http.get(f"/job/{answer['stats']['jobId']}").json()
    assert list(job["output"]) == ["videos", "asset", "warnings", "image_url", "files"]
    assert [file["name"] for file in job["output"]["files"]] == ["clip-thumbnail.webp"]
    late = http.post("/video/thumbnail", json={"url_video": video, "at_seconds": 99})
    assert (late.status_code, late.json()["message"]) == (
        400,
        "at_seconds: 99 s is past the end; the video lasts 2.000 s.",
    )


def test_older_answers_stay_as_they_were(http: httpx.Client, media: Samples) -> None:
    image = {"id": "a", "image_url": uploaded(http, media.images[0]), "duracao": 0.2}
    answer = http.post("/video/img2vid", json={"images": [image]}).json()
    assert list(answer["videos"][0]) == ["id", "video_url", "asset", "warnings", "encoding"]
    job = http.get(f"/job/{answer['stats']['jobId']}").json()
    assert list(job["output"]) == ["videos", "warnings"]


def test_the_command_line(run: Run, media: Samples, tmp_path: Path) -> None:
    done = run("concat", media.video, media.video, "--width", 160, "--height", 120)
    assert (done.returncode, done.stdout) == (0, "clip-concat.mp4\n"), done.stderr
    assert footage(tmp_path / "clip-concat.mp4").frames == 100
    done = run("thumbnail", media.video, "--at-seconds", 0.5)
    assert (done.returncode, done.stdout) == (0, "clip-thumbnail.jpg\n"), done.stderr
    assert size_of((tmp_path / "clip-thumbnail.jpg").read_bytes()) == (320, 240)
    done = run("thumbnail", media.video, "--format", "png", "--sprites-columns", 2, "-o", "shown.png")
    assert (done.returncode, done.stdout) == (0, "shown.png\nshown/sprites.jpg\nshown/sprites.vtt\n"), done.stderr
    assert (tmp_path / "shown" / "sprites.vtt").read_text().startswith("WEBVTT")
    again = run("thumbnail", media.video, "--sprites-columns", 2, "-o", "shown.jpg")
    assert again.stdout == "shown.jpg\n"
    assert "shown/sprites.jpg exists; --force replaces it" in again.stderr

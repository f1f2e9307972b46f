"""frame through the pair: by the client, by the command line, as JSON."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from api_gpu import Client, Job
from encoder.media import frame_ranges
from encoder.media.info import Source
from encoder.media.probe import probe_video
from gateway.sources.outline import MIN_DIVISIBLE_BYTES
from servicekit.errors import InvalidArgument
from tests.integration.api_gpu.conftest import Run
from tests.support import judge
from tests.support.judge import pictures
from tools.pair import Pair
from tools.samples import Samples, ffmpeg


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


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 14 s and some 45 MB with a keyframe each second, B-frames, and its index at its end."""
    path = tmp_path_factory.mktemp("large") / "large.mp4"
    picture = "testsrc2=size=320x240:rate=25:duration=14,noise=alls=40:allf=t"
    sound = "sine=frequency=330:duration=14"
    encode = ("-c:v", "libx264", "-preset", "superfast", "-bf", "2", "-g", "25", "-b:v", "26M", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *encode, "-c:a", "aac", str(path))
    assert path.stat().st_size > MIN_DIVISIBLE_BYTES
    return path


def test_of_a_large_film_only_what_the_picture_needs_is_sent(client: Client, large: Path, tmp_path: Path) -> None:
    film, plain, whole = client.upload(large).name, pictures(large), Source("url_video", large)
    info, _ = probe_video(whole)
    cue = "1\n00:00:{},900 --> 00:00:{},100\nHello\n"
    subtitles = {}
    for name, seconds in (("early", (1, 2)), ("late", (9, 10))):
        subtitles[name] = tmp_path / f"{name}.srt"
        subtitles[name].write_text(cue.format(*(f"{second:02}" for second in seconds)))

    def rendered(at: float, cues: str) -> tuple[Job, judge.Picture]:
        request = {"video": film, "subtitles": subtitles[cues]}
        job = client.frame(caption=request, at_seconds=at, format="png").wait()
        (shown,) = pictures(client.download(job.asset, tmp_path / "frame.png"))
        return job, shown

    for at, number, is_captioned in ((0.0, 0, False), (7.01, 175, False), (10.0, 250, True), (13.95, 348, False)):
        job, shown = rendered(at, "late")
        apart = [float(np.abs(shown[:160].astype(int) - picture[:160]).mean()) for picture in plain]
        assert min(range(len(plain)), key=apart.__getitem__) == number
        assert bool((shown != rendered(at, "early")[1]).any()) == is_captioned
        assert (job.total, job.warnings) == (1, ())
        ranges = frame_ranges.find(whole, info, at)
        assert sum(end - start for start, end in ranges) < whole.path.stat().st_size / 3
    first = client.frame(caption={"video": film, "subtitles": subtitles["late"]}).wait()
    assert (first.total, first.warnings) == (1, ())
    (fact,) = job.input_facts
    assert (fact.field, fact.width, fact.size_bytes) == ("caption.url_video", 320, large.stat().st_size)


def test_a_large_film_whose_index_does_not_tell_is_sent_whole(
    client: Client, media: Samples, large: Path, tmp_path: Path
) -> None:
    matroska = tmp_path / "large.mkv"
    ffmpeg("-i", str(large), "-c", "copy", str(matroska))
    job = client.frame(caption={"video": matroska, "subtitles": media.subtitles}, at_seconds=7).wait()
    assert job.total == 1
    with pytest.raises(InvalidArgument, match="at_seconds: 20 s is past the end"):
        client.frame(caption={"video": large, "subtitles": media.subtitles}, at_seconds=20).wait()

"""Stories through the pair: by the client, by the command line, as JSON."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_gpu import Client, Motion, Scene, SceneSpan, Transition
from servicekit.errors import InvalidArgument
from tests.integration.api_gpu.conftest import AUDIO_SECONDS, VIDEO_SECONDS, Run
from tools.media_check import footage
from tools.pair import Pair
from tools.samples import Samples

SMALL: dict[str, Any] = {"width": 160, "height": 90, "fps": 10}
FLAGS = [f"--{name}={value}" for name, value in SMALL.items()]
SMALL_JSON = {"width": 160, "height": 90, "frame_rate": 10}
SRT = "1\n00:00:00,200 --> 00:00:01,000\nHello\n"


@pytest.fixture
def http(pair: Pair) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pair.http_url, headers={"X-API-Key": pair.key}, timeout=120) as client:
        yield client


def test_the_client_makes_a_film_of_scenes(client: Client, media: Samples, tmp_path: Path) -> None:
    scenes = [
        Scene(id="still", image=media.images[0], seconds=1, motion=Motion(pan="left")),
        Scene(image=media.images[1], narration=media.audio, pause=0.5),
        media.video,
    ]
    fade = Transition(kind="crossfade", seconds=0.4)
    job = client.story(scenes, transition=fade, srt_text=SRT, music=media.audio, **SMALL).wait()
    # The second scene is lengthened by half of each transition: it is seen for 2 s, from the middle of one to that of
    # the other.
    assert job.scenes == (SceneSpan("still", 0, 0.8), SceneSpan("2", 0.8, 2.8), SceneSpan("3", 2.8, 4.6))
    assert job.duration == pytest.approx(4.6)
    made = footage(client.download(job.asset, tmp_path / "film.mp4"))
    assert (made.frames, made.width, made.height) == (46, 160, 90)
    assert made.audio_seconds == pytest.approx(4.6, abs=0.1)
    assert (job.operation, job.warnings) == ("story", ())
    assert client.asset(job.asset).filename == f"{media.images[0].stem}-story.mp4"


def test_it_is_told_as_json(http: httpx.Client, client: Client, media: Samples) -> None:
    still = client.upload(media.images[0]).name
    scenes = [{"id": name, "image_url": still, "duracao": 0.5} for name in "ab"]
    answer = http.post("/video/story", json={"scenes": scenes, **SMALL_JSON, "output_filename": "film"}).json()
    spans = [{"id": "a", "start": 0, "end": 0.5}, {"id": "b", "start": 0.5, "end": 1}]
    assert (answer["code"], answer["message"]) == (200, "Story completed successfully")
    assert (answer["duration"], answer["scenes"]) == (1, spans)
    assert "/film.mp4?" in answer["video_url"]
    output = http.get(f"/job/{answer['stats']['jobId']}").json()["output"]
    assert (output["duration"], output["scenes"], output["asset"]) == (1, spans, answer["asset"])
    words = [{"text": "Hello", "start": 0.1, "end": 0.3}]
    body = {"scenes": scenes, **SMALL_JSON, "words": words, "style": {"preset": "word"}, "readability": "standard"}
    answer = http.post("/video/story", json=body).json()
    assert [warning["reason"] for warning in answer["warnings"]] == ["READ_FAST", "SHOWN_BRIEFLY"]


def test_all_bad_scenes_are_told_at_once(http: httpx.Client, client: Client, media: Samples) -> None:
    still, sound = (client.upload(file).name for file in (media.images[0], media.audio))
    scenes = [{"image_url": name, "duracao": 0.5} for name in (sound, still, sound)]
    answer = http.post("/video/story", json={"scenes": scenes, **SMALL_JSON})
    (found,) = (one["fieldViolations"] for one in answer.json()["details"] if "fieldViolations" in one)
    assert [one["field"] for one in found] == ["scenes[0].image_url", "scenes[2].image_url"]
    with pytest.raises(InvalidArgument) as caught:
        client.story([media.images[0]], **SMALL).wait()
    assert list(caught.value.fields) == ["scenes[0].duracao"]


def test_the_command_line_takes_files(run: Run, media: Samples, tmp_path: Path) -> None:
    sources = [str(media.images[0]), str(media.video)]
    sounds = ["--narration", str(media.audio), "--music", str(media.audio), "--srt", str(media.subtitles)]
    done = run("story", *sources, *sounds, *FLAGS, "--seconds", "1", "--preview", "-o", "film.mp4")
    assert (done.returncode, done.stdout.strip()) == (0, "film.mp4")
    (link,) = re.findall(r"^preview: (http\S+)$", done.stderr, re.MULTILINE)
    assert "#EXT-X-STREAM-INF" in httpx.get(link).text
    made = footage(tmp_path / "film.mp4")
    assert made.frames == round(10 * (1 + VIDEO_SECONDS))
    assert made.audio_seconds == pytest.approx(1 + VIDEO_SECONDS, abs=0.1)
    assert run("story", *sources, *FLAGS, "-o", "film.mp4").returncode == 2  # it exists


def test_the_command_line_takes_a_plan(run: Run, media: Samples, tmp_path: Path) -> None:
    plan = {
        "scenes": [{"image_url": str(media.images[0])}, str(media.images[1])],
        "url_audio": str(media.audio),
        "style": {"preset": "bold"},
        "srt_text": SRT,
        "frame_rate": 20,
    }
    (tmp_path / "film.json").write_text(json.dumps(plan))
    done = run("story", "film.json", *FLAGS, "--color", "#FF0000")
    assert (done.returncode, done.stdout.strip()) == (0, "film.mp4"), done.stderr
    # Both stills have an even share of the narration; the command's rate goes before that of the plan.
    assert footage(tmp_path / "film.mp4").frames == round(10 * AUDIO_SECONDS)
    (tmp_path / "film.json").write_text('{"url_audio": "a.mp3"}')
    done = run("story", "film.json")
    assert (done.returncode, "must have scenes" in done.stderr) == (2, True)


def test_files_of_a_plan_are_those_of_its_folder(run: Run, media: Samples, tmp_path: Path) -> None:
    folder = tmp_path / "plans"
    folder.mkdir()
    shutil.copy(media.images[0], folder / "a.png")
    plan = {"scenes": [{"image_url": "a.png", "duracao": 0.5}, {"image_url": "gone.png", "duracao": 0.5}, "lost.png"]}
    (folder / "film.json").write_text(json.dumps(plan))
    done = run("story", "plans/film.json", *FLAGS)
    told = " ".join(done.stderr.split())
    assert done.returncode == 1, told
    assert "scenes[1].image_url: cannot read plans/gone.png: no such file or folder" in told
    assert "scenes[2].image: cannot read plans/lost.png" in told
    (folder / "film.json").write_text(json.dumps({"scenes": plan["scenes"][:1]}))
    done = run("story", "plans/film.json", *FLAGS)
    assert (done.returncode, done.stdout.strip()) == (0, "film.mp4"), done.stderr
    assert footage(tmp_path / "film.mp4").frames == 5


def test_a_story_may_be_a_step_of_a_chain(client: Client, media: Samples, tmp_path: Path) -> None:
    clip = {"url_video": "step:cut", "gain": -6}
    scenes = [{"image": media.images[0], "duracao": 0.5}, clip]
    steps = [
        {"id": "cover", "thumbnail": {"video": "step:film"}},
        {"id": "film", "story": {"scenes": scenes, **SMALL}},
        {"id": "cut", "addaudio": {"video": media.video, "audio": media.audio}},
    ]
    job = client.chain(steps, keep=["film", "cover"]).wait()
    cover, film = job.clips
    assert (film.id, cover.id) == ("film", "cover")
    assert film.scenes == (SceneSpan("1", 0, 0.5), SceneSpan("2", 0.5, film.duration or 0))
    assert footage(client.download(film.asset, tmp_path / "film.mp4")).frames == round(10 * (0.5 + AUDIO_SECONDS))
    assert client.asset(cover.asset).filename == f"{media.images[0].stem}-cover.jpg"

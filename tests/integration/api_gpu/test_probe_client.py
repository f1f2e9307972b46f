"""probe through the pair: by the client, by the command line, as JSON, in a chain; of a large video by its ends."""

import json
from pathlib import Path

import httpx
import pytest

from api_gpu import Client
from servicekit.errors import InvalidArgument
from tests.integration.api_gpu.conftest import VIDEO_SECONDS, Run, append_hole
from tools.pair import Pair
from tools.samples import Samples, ffmpeg

LARGE_BYTES = 64 * 1024 * 1024


def test_the_client_and_the_command_line_tell_what_a_file_holds(client: Client, media: Samples, run: Run) -> None:
    job = client.probe(media.video).wait()
    assert job.media is not None
    assert (job.asset, job.video_url, job.files, job.warnings) == ("", "", (), ())
    assert [video.codec for video in job.media.video] == ["h264"]
    assert job.media.duration == pytest.approx(VIDEO_SECONDS, abs=0.05)
    told = json.loads(run("probe", str(media.video), "--json", "--loudness").stdout)
    assert (told["kind"], told["video"][0]["width"], told["audio"][0]["channels"]) == ("VIDEO", 320, 1)
    assert told["audio"][0]["loudness"]["integratedLufs"] == pytest.approx(-21.8, abs=0.5)
    lines = run("probe", str(media.subtitles)).stdout.splitlines()
    assert lines[0].startswith("subtitles, subrip, ")
    assert "UTF-8" in lines[1]


def test_json_has_numbers_and_no_links(pair: Pair, media: Samples) -> None:
    with httpx.Client(base_url=pair.http_url, headers={"X-API-Key": pair.key}, timeout=60) as http:
        asset = http.put("/assets/clip.mp4", content=media.video.read_bytes()).raise_for_status().json()["name"]
        answer = http.post("/video/probe", json={"url": asset}).raise_for_status().json()
        assert (answer["code"], answer["message"]) == (200, "File probed successfully")
        assert answer["media"]["sizeBytes"] == media.video.stat().st_size
        assert answer["media"]["audio"][0]["decodable"] is True
        job = http.get(f"/job/{answer['stats']['jobId']}").raise_for_status().json()
        assert set(job["output"]) == {"media", "videos", "warnings"}
        assert job["output"]["media"] == answer["media"]


def test_a_chain_may_end_with_a_probe_and_not_go_on_from_one(client: Client, media: Samples) -> None:
    steps = [
        {"id": "film", "concat": {"videos": [media.video, media.video]}},
        {"id": "facts", "probe": {"file": "step:film"}},
    ]
    job = client.chain(steps, keep=["film", "facts"]).wait()
    film, facts = job.clips
    assert (bool(film.asset), film.media, facts.asset) == (True, None, "")
    assert facts.media is not None
    assert facts.media.duration == pytest.approx(2 * VIDEO_SECONDS, abs=0.1)
    with pytest.raises(InvalidArgument, match="makes no file"):
        client.chain([*steps, {"id": "again", "thumbnail": {"video": "step:facts"}}])


def test_of_a_large_video_the_ends_are_enough(client: Client, media: Samples, tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    ffmpeg("-i", str(media.video), "-c", "copy", "-movflags", "+faststart", str(path))
    whole = client.probe(path).wait().media
    append_hole(path, LARGE_BYTES)
    told = client.probe(path).wait().media
    assert whole is not None
    assert told is not None
    assert told.size_bytes == whole.size_bytes + LARGE_BYTES
    assert (told.whole, told.video[0].frames, told.video[0].variable_frame_rate) == (True, 50, False)
    assert told.video[0].color == whole.video[0].color
    assert told.duration == pytest.approx(whole.duration, abs=0.05)

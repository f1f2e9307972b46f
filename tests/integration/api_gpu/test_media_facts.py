"""What is told of the files of a job: by the API, by the command line; and files that are deleted by it."""

from dataclasses import astuple
from pathlib import Path

import pytest

from api_gpu import Client
from servicekit.errors import NotFound
from tests.integration.api_gpu.conftest import VIDEO_SECONDS, Run
from tools.samples import Samples


def test_inputs_and_results_are_told_of(client: Client, media: Samples, run: Run) -> None:
    job = client.caption(media.video, media.subtitles).wait()
    (found,) = job.input_facts
    size = media.video.stat().st_size
    assert astuple(found) == ("url_video", "", pytest.approx(VIDEO_SECONDS, abs=0.05), 320, 240, "h264", size)
    (made,) = job.result_facts
    size = client.asset(job.asset).size_bytes
    assert astuple(made) == ("", "", pytest.approx(VIDEO_SECONDS, abs=0.05), 320, 240, "x264", size)
    assert not next(client.jobs(operation="caption")).input_facts
    told = dict(line.split("\t") for line in run("show", job.id).stdout.splitlines())
    assert told["url_video"] == f"{media.video.name}, {found.duration:.3f}, 320x240, h264, {found.size_bytes}"
    assert told["result"].startswith(f"{job.asset}, {made.duration:.3f}, 320x240, x264, ")


def test_each_still_of_a_batch_and_each_step_of_a_chain_has_its_own(client: Client, media: Samples) -> None:
    job = client.img2vid([media.images[0], media.images[1]], seconds=0.2).wait()
    assert [(found.field, found.codec, found.width) for found in job.input_facts] == [
        ("images[0].image_url", "png", 640),
        ("images[1].image_url", "png", 640),
    ]
    assert [(made.item, made.width) for made in job.result_facts] == [(clip.id, 1920) for clip in job.clips]
    steps = [
        {"id": "clip", "concat": {"videos": [media.video, media.video]}},
        {"id": "talk", "addaudio": {"video": "step:clip", "audio": media.audio}},
    ]
    chain = client.chain(steps).wait()
    assert {found.field: found.codec for found in chain.input_facts} == {
        "steps[0].concat.url_videos[0]": "h264",
        "steps[0].concat.url_videos[1]": "h264",
        "steps[1].addaudio.url_audio": "pcm_s16le",
    }
    assert [found.field for found in chain.input_facts] == [given.field for given in chain.inputs]


def test_files_are_deleted_by_name_where_nobody_is_asked_only_with_force(
    client: Client, media: Samples, run: Run, tmp_path: Path
) -> None:
    asset = client.upload(media.video)
    listed = run("assets", "list", "--limit", 1).stdout.rstrip("\n").split("\t")
    assert listed[:4] == [asset.name, asset.filename, "video/mp4", str(asset.size_bytes)]
    refused = run("assets", "delete", asset.name)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--force" in refused.stderr
    assert client.asset(asset.name).name == asset.name
    deleted = run("assets", "delete", asset.name.removeprefix("assets/"), "assets/" + "a" * 26, "--force")
    assert (deleted.returncode, deleted.stdout) == (1, f"{asset.name}\n")
    assert "assets/" + "a" * 26 in deleted.stderr
    with pytest.raises(NotFound):
        client.asset(asset.name)

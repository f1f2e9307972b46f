"""Files whose clock does not begin at zero or does not go on: how long they are, and what is heard when."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from apigpu.v1 import soundtrack_pb2, video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client


def adding(**options: Any) -> video_pb2.Operation:
    request = video_pb2.AddAudioRequest(url_video="v", url_audio="a", soundtrack=soundtrack_pb2.Soundtrack(**options))
    return video_pb2.Operation(addaudio=request)


async def captioned(client: Client, video: Path, cues: Path, out: Path) -> judge.Facts:
    """The facts of a video with captions, of which as many frames were told to come as there are."""
    request = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
    done = await client.encode(request, {"url_video": video, "url_srt": cues})
    out.write_bytes(done.data)
    facts = judge.facts(out)
    assert {progress.frames_total for progress in done.progress} == {facts.frames}
    return facts


def tone(folder: Path, seconds: float) -> Path:
    return media.tone(folder / "a.wav", seconds)


@pytest.fixture(scope="module")
def live(media_dir: Path) -> Path:
    """Two seconds out of a live stream that began hours ago: fragments behind the index that all of them share."""
    folder = media_dir / "live"
    folder.mkdir()
    segments = ["-g", "25", "-output_ts_offset", "20000", "-f", "hls", "-hls_time", "1", "-hls_segment_type", "fmp4"]
    media.video(folder / "live.m3u8", 3, "64x36", 25, True, *segments)
    path = media_dir / "live.mp4"
    path.write_bytes(b"".join((folder / name).read_bytes() for name in ("init.mp4", "live1.m4s", "live2.m4s")))
    return path


async def test_part_of_a_live_stream_is_as_long_as_its_pictures(client: Client, live: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    await client.result(out, adding(mix=True), {"url_video": live, "url_audio": tone(tmp_path, 0.5)})
    facts = judge.facts(out)
    assert (facts.frames, facts.times[0]) == (50, pytest.approx(0, abs=0.001))
    assert facts.audio_seconds == pytest.approx(2, abs=0.05)


async def test_sound_of_a_live_stream_is_as_long_as_it_is_heard(
    client: Client, live: Path, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.mp4"
    await client.result(out, adding(delay=0.5), {"url_video": clip, "url_audio": live})
    assert judge.facts(out).audio_seconds == pytest.approx(2, abs=0.05)
    await client.result(out, adding(start=1.5), {"url_video": clip, "url_audio": live})
    assert judge.facts(out).audio_seconds == pytest.approx(0.5, abs=0.05)


async def test_part_of_a_live_stream_is_captioned(client: Client, live: Path, cues: Path, tmp_path: Path) -> None:
    assert (await captioned(client, live, cues, tmp_path / "o.mp4")).frames == 50


@pytest.fixture(scope="module")
def joined(media_dir: Path) -> Path:
    """A recording of two seconds, joined of parts: its clock jumps hours on, and back to where it began."""
    parts = [
        media.video(media_dir / f"part{offset}.ts", 0.5, "64x36", 30, True, "-output_ts_offset", str(offset))
        for offset in (0, 20000)
    ]
    path = media_dir / "joined.ts"
    path.write_bytes(b"".join(parts[number].read_bytes() for number in (0, 1, 0, 0)))
    return path


@pytest.mark.parametrize("options", [{}, {"mix": True}, {"loop": True, "gain": -1}])
async def test_a_joined_recording_gets_sound_to_its_end(
    client: Client, joined: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    out = tmp_path / "o.mp4"
    summary = await client.result(out, adding(**options), {"url_video": joined, "url_audio": tone(tmp_path, 3)})
    facts = judge.facts(out)
    assert (summary.codec, facts.frames) == ("copy", 60)
    assert facts.seconds == pytest.approx(2, abs=0.08)
    assert facts.audio_seconds == pytest.approx(2, abs=0.1)


async def test_a_joined_recording_serves_as_sound(client: Client, joined: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    await client.result(out, adding(start=1), {"url_video": clip, "url_audio": joined})
    assert judge.facts(out).seconds == pytest.approx(1.1, abs=0.1)  # each part's sound is filled up to whole packets


async def test_a_joined_recording_is_captioned(client: Client, joined: Path, cues: Path, tmp_path: Path) -> None:
    facts = await captioned(client, joined, cues, tmp_path / "o.mp4")
    assert facts.frames == 60
    assert facts.seconds == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("seconds", [0.6, 3])
async def test_a_picture_that_begins_after_the_sound_that_goes_loses_nothing(
    client: Client, tmp_path: Path, seconds: float
) -> None:
    late, out = ("-vf", "setpts=PTS+0.5/TB", "-fps_mode", "passthrough"), tmp_path / "o.mp4"
    video = media.video(tmp_path / "v.ts", 1, "64x36", 25, True, *late)
    await client.result(out, adding(), {"url_video": video, "url_audio": tone(tmp_path, seconds)})
    facts = judge.facts(out)
    assert facts.frames == min(seconds, 1) * 25
    assert facts.audio_seconds == pytest.approx(min(seconds, 1), abs=0.03)


@pytest.mark.parametrize(
    ("options", "begins"), [({}, 0.4), ({"gain": -1}, 0.4), ({"start": 0.1, "delay": 0.2}, 0.5), ({"start": 0.6}, 0.0)]
)
async def test_music_that_begins_late_does_so_with_any_options(
    client: Client, gray: Path, tmp_path: Path, options: dict[str, Any], begins: float
) -> None:
    music, out = tmp_path / "a.mp4", tmp_path / "o.mp4"
    picture = ("-f", "lavfi", "-i", "color=s=64x36:r=25:d=1.2")
    late = ("-itsoffset", "0.4", "-f", "lavfi", "-i", "sine=880:d=0.8")
    media.run(*picture, *late, "-c:v", "libx264", "-c:a", "aac", music)
    await client.result(out, adding(**options), {"url_video": gray, "url_audio": music})
    loud = loud_times(out)
    assert loud[0] == pytest.approx(begins, abs=0.03)
    assert loud[-1] == pytest.approx(judge.facts(out).seconds, abs=0.03)


def loud_times(path: Path) -> list[float]:
    """When the frames of sound begin that are not silent."""
    with av.open(str(path)) as container:
        return [frame.time or 0.0 for frame in container.decode(audio=0) if np.abs(frame.to_ndarray()).max() > 0.02]

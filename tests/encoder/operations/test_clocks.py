"""Files whose clock does not begin at zero: how long they are, and what is heard when."""

from pathlib import Path
from typing import Any

import pytest

from apigpu.v1 import soundtrack_pb2, video_pb2
from tests import judge, media
from tests.encoder import harness

Client = harness.Client


def adding(**options: Any) -> video_pb2.Operation:
    request = video_pb2.AddAudioRequest(url_video="v", url_audio="a", soundtrack=soundtrack_pb2.Soundtrack(**options))
    return video_pb2.Operation(addaudio=request)


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
    music, out = media.tone(tmp_path / "a.wav", 0.5), tmp_path / "o.mp4"
    await client.result(out, adding(mix=True), {"url_video": live, "url_audio": music})
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
    request = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
    done = await client.encode(request, {"url_video": live, "url_srt": cues})
    (tmp_path / "o.mp4").write_bytes(done.data)
    assert judge.facts(tmp_path / "o.mp4").frames == 50
    assert {progress.frames_total for progress in done.progress} == {50}

"""concat with NVENC: pictures of several files through one session, the sound of all beside it."""

from pathlib import Path

import pytest

from apigpu.v1 import video_pb2
from tests.integration.encoder.codecs.conftest import NvencEncoder
from tests.nvdriver.driver import Driver
from tests.support import judge, media

pytestmark = pytest.mark.nvenc


@pytest.mark.parametrize("form", ["h264", *(pytest.param(form, marks=pytest.mark.long) for form in ("hevc", "av1"))])
async def test_parts_that_differ_are_joined_on_the_card(
    nvenc_encoder: NvencEncoder, driver: Driver, clip: Path, tmp_path: Path, form: str
) -> None:
    # MPEG-TS counts time from the first of the streams that are read: both runs must read the same.
    other = media.video(tmp_path / "other.ts", 1, "180x320", 30)
    silent = media.video(
        tmp_path / "silent.webm", 1, "320x180", 50, False, "-c:v", "libvpx-vp9", "-deadline", "realtime"
    )
    request = video_pb2.ConcatRequest(url_videos=["a", "b", "c"])
    inputs: dict[str, Path | bytes] = {"url_videos[0]": clip, "url_videos[1]": other, "url_videos[2]": silent}
    with nvenc_encoder(driver, CODEC="nvenc", NVENC_FORMAT=form) as encoder:
        async with encoder.client() as client:
            summary = await client.result(tmp_path / "o.mp4", video_pb2.Operation(concat=request), inputs)
    facts = judge.facts(tmp_path / "o.mp4")
    assert (summary.codec, facts.frames, facts.width, facts.height) == ("nvenc", 100, 320, 180)
    assert facts.codec == form
    assert abs(facts.audio_seconds - 4) < 0.05
    assert facts.times[0] == 0

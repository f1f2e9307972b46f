"""With NVENC as with x264: captions over pictures that stand for long, files that are cut off, sizes that change."""

from pathlib import Path

import pytest

from apigpu.v1 import video_pb2
from tests.integration.encoder.codecs.conftest import NvencEncoder
from tests.integration.encoder.operations import test_sizes, test_sparse_frames
from tests.nvdriver.driver import Driver
from tests.support import judge, media

pytestmark = pytest.mark.nvenc


def caption(**more: bool) -> video_pb2.Operation:
    return video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s", **more))


async def test_streams_as_they_come(
    nvenc_encoder: NvencEncoder, driver: Driver, clip: Path, cues: Path, tmp_path: Path
) -> None:
    out, spread = tmp_path / "o.mp4", media.srt(tmp_path / "s.srt", test_sparse_frames.CUES)
    still = test_sparse_frames.podcast(tmp_path / "still.mp4")
    call = test_sizes.call(tmp_path, "vp8.webm")
    whole = tmp_path / "whole.mp4"
    media.run("-i", clip, "-c", "copy", "-movflags", "+faststart", whole)
    cut = whole.read_bytes()[: whole.stat().st_size * 6 // 10]
    with nvenc_encoder(driver, CODEC="nvenc") as on_card:
        async with on_card.client() as client:
            summary = await client.result(out, caption(), {"url_video": still, "url_srt": spread})
            assert summary.codec == "nvenc"
            for start, end, _ in test_sparse_frames.CUES:
                times = (start - 0.1, start + 0.1, end - 0.1, end + 0.1)
                seen = [test_sparse_frames.is_captioned(test_sparse_frames.at(out, time)) for time in times]
                assert seen == [False, True, True, False], (start, end)
            assert test_sparse_frames.has_times_of(out, still)
            assert judge.facts(out).seconds == pytest.approx(15, abs=0.1)

            slow = tmp_path / "slow.mp4"
            source = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=2:d=2")
            media.run(*source, *test_sparse_frames.H264, slow)
            blink = media.srt(tmp_path / "blink.srt", [(0.1, 0.12, "Blink"), (0.6, 0.8, "Short")])
            await client.result(out, caption(), {"url_video": slow, "url_srt": blink})
            assert judge.facts(out).seconds == pytest.approx(2, abs=0.01)

            summary = await client.result(out, caption(allow_partial=True), {"url_video": cut, "url_srt": cues})
            assert [warning.reason for warning in summary.warnings][-1] == "INPUT_CUT_OFF"
            assert 20 < judge.facts(out).frames < 45

            summary = await client.result(out, caption(), {"url_video": call, "url_srt": cues})
            assert (summary.width, summary.height) == (256, 144)
            assert test_sizes.boxes(out)[24] == pytest.approx(test_sizes.FITTED[2], abs=3)

"""Pictures of a size that the card does not make: known before a session is tried, and made by what can."""

from pathlib import Path

import grpc
import pytest

from apigpu.v1 import video_pb2
from encoder.ffmpeg.process import bundled_binary
from servicekit.errors import from_rpc
from tests.integration.encoder.codecs.conftest import NvencEncoder
from tests.nvdriver.driver import Driver
from tests.support import judge, media

pytestmark = pytest.mark.nvenc

CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
SRT = b"1\n00:00:00,000 --> 00:00:00,300\nHi\n"
STILL = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.2, width=128, height=96))
LIMITS = "the card makes pictures from 145×49 to 4096×4096"


@pytest.fixture(scope="module")
def odd(media_dir: Path) -> dict[str, Path]:
    """Videos by their size, of ten frames."""
    return {
        size: media.video(media_dir / f"{size}.mp4", 0.4, size, 25, False) for size in ("128x96", "5120x64", "320x180")
    }


def sessions(driver: Driver) -> int:
    return len(driver.calls("nvEncOpenEncodeSessionEx"))


@pytest.mark.parametrize("codec", ["auto", "nvenc"])
async def test_a_size_that_the_card_does_not_make_is_made_by_x264(
    nvenc_encoder: NvencEncoder,
    driver: Driver,
    odd: dict[str, Path],
    still: Path,
    tmp_path: Path,
    codec: str,
) -> None:
    with nvenc_encoder(driver, CODEC=codec) as encoder:
        async with encoder.client() as client:
            before = sessions(driver)
            for size in ("128x96", "5120x64"):
                inputs = {"url_video": odd[size], "url_srt": SRT}
                summary = await client.result(tmp_path / "made.mp4", CAPTION, inputs)
                assert judge.facts(tmp_path / "made.mp4").frames == 10
                assert (summary.codec, f"{summary.width}x{summary.height}") == ("x264", size)
                assert LIMITS in summary.codec_reason
            summary = await client.result(tmp_path / "made.mp4", STILL, {"url_image": still})
            assert summary.codec == "x264"
            assert sessions(driver) == before
            # The card has all others.
            inputs = {"url_video": odd["320x180"], "url_srt": SRT}
            assert (await client.result(tmp_path / "made.mp4", CAPTION, inputs)).codec == "nvenc"


@pytest.mark.parametrize(
    ("form", "makers", "limits"),
    [
        ("hevc", {"5120x64": "nvenc", "128x96": "x264"}, "from 129×33 to 8192×8192"),
        ("av1", {"5120x64": "x264", "128x96": "x264"}, "from 128×128 to 8192×8192"),
    ],
)
async def test_another_format_has_limits_of_its_own(
    nvenc_encoder: NvencEncoder,
    driver: Driver,
    odd: dict[str, Path],
    tmp_path: Path,
    form: str,
    makers: dict[str, str],
    limits: str,
) -> None:
    with nvenc_encoder(driver, CODEC="nvenc", NVENC_FORMAT=form) as encoder:
        async with encoder.client() as client:
            for size, maker in makers.items():
                inputs = {"url_video": odd[size], "url_srt": SRT}
                summary = await client.result(tmp_path / "made.mp4", CAPTION, inputs)
                facts = judge.facts(tmp_path / "made.mp4")
                assert (summary.codec, facts.frames) == (maker, 10)
                assert facts.codec == (form if maker == "nvenc" else "h264")
                assert (limits in summary.codec_reason) == (maker == "x264")


async def test_where_no_codec_is_left_the_limits_are_told_and_nothing_is_tried_again(
    nvenc_encoder: NvencEncoder, driver: Driver, odd: dict[str, Path], tmp_path: Path
) -> None:
    without_x264 = tmp_path / "ffmpeg"
    without_x264.write_text(f'#!/bin/sh\ncase "$*" in *libx264*) exit 1;; esac\nexec {bundled_binary()} "$@"\n')
    without_x264.chmod(0o755)
    settings = {"CODEC": "nvenc", "FFMPEG_BINARY": without_x264, "SANDBOX": "none"}
    with nvenc_encoder(driver, **settings) as encoder:
        async with encoder.client() as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.encode(CAPTION, {"url_video": odd["128x96"], "url_srt": SRT}, timeout_seconds=60)
    error = from_rpc(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SIZE_UNSUPPORTED")
    assert LIMITS in error.message
    assert "128×96" in error.message

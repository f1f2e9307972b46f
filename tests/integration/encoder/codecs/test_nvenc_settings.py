"""Every setting of nvenc arrives in the driver, on the stand-in for it; nothing reaches the library that it would
misunderstand."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from apigpu.v1 import video_pb2
from encoder.codecs.nvenc.request import Parameters, check_words
from tests.nvdriver.driver import Call, Driver
from tests.support import encoder_harness, judge, media

pytestmark = pytest.mark.nvenc

AUTOMATIC = {"h264": 0, "hevc": 0, "av1": 24}
CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
SIZE = (1280, 720)
SRT = b"1\n00:00:00,000 --> 00:00:01,000\nHi\n"


@pytest.fixture
def driver(nvdriver_libraries: Path, tmp_path: Path) -> Driver:
    """A driver with a log of its own."""
    return Driver(nvdriver_libraries, tmp_path / "log", tmp_path / "control")


async def told(
    driver: Driver, certs: Path, folder: Path, rate: str = "25", seconds: float = 4, **settings: object
) -> tuple[Call, Path]:
    """What the driver was told of a task's session, and the result."""
    film, out = media.video(folder / "film.mp4", seconds, "320x180", rate), folder / "out.mp4"
    environment = {"CODEC": "nvenc", **driver.environment(), **settings}
    with encoder_harness.running(certs, folder / "encoder", environment) as encoder:
        before = len(driver.calls("nvEncInitializeEncoder"))
        async with encoder.client() as client:
            await client.result(out, CAPTION, {"url_video": film, "url_srt": SRT})
    return driver.calls("nvEncInitializeEncoder")[before:][-1], out


def types(path: Path) -> str:
    """The frames in the order in which they are shown, as I, P and B."""
    with av.open(str(path)) as container:
        return "".join(av.video.frame.PictureType(frame.pict_type).name for frame in container.decode(video=0))


async def test_the_defaults(driver: Driver, certs: Path, tmp_path: Path) -> None:
    call, out = await told(driver, certs, tmp_path)
    assert call["encodeGUID"] == "h264"
    assert call["presetGUID"] == "P4"
    assert call["tuningInfo"] == 1  # NV_ENC_TUNING_INFO_HIGH_QUALITY
    assert call["rcParams.rateControlMode"] == 1  # NV_ENC_PARAMS_RC_VBR
    assert call["rcParams.targetQuality"] == 23
    assert call["rcParams.averageBitRate"] == 0
    assert call["gopLength"] == 50
    assert call["frameIntervalP"] == 3
    assert call["rcParams.enableLookahead"] == 0
    assert (call["encodeWidth"], call["encodeHeight"]) == (320, 180)
    assert (call["frameRateNum"], call["frameRateDen"]) == (25, 1)
    shown = types(out)
    assert [number for number, kind in enumerate(shown) if kind == "I"] == [0, 50]
    assert "BB" in shown


async def test_other_values(driver: Driver, certs: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"NVENC_PRESET": "P7", "NVENC_CQ": 30, "NVENC_B_FRAMES": 0, "NVENC_LOOKAHEAD": 8}
    call, out = await told(driver, certs, tmp_path, "30000/1001", **settings)
    assert call["presetGUID"] == "P7"
    assert call["rcParams.targetQuality"] == 30
    assert call["frameIntervalP"] == 1
    assert call["rcParams.enableLookahead"] == 1
    assert call["rcParams.lookaheadDepth"] == 8
    assert call["gopLength"] == 60
    assert (call["frameRateNum"], call["frameRateDen"]) == (30000, 1001)
    assert "B" not in types(out)
    assert judge.facts(out).rate == Fraction(30000, 1001)


@pytest.mark.parametrize("form", ["hevc", "av1"])
async def test_the_defaults_in_another_format(driver: Driver, certs: Path, tmp_path: Path, form: str) -> None:
    call, out = await told(driver, certs, tmp_path, seconds=2.4, NVENC_FORMAT=form)
    assert call["encodeGUID"] == form
    assert (call["presetGUID"], call["tuningInfo"]) == ("P4", 1)
    assert (call["rcParams.rateControlMode"], call["rcParams.targetQuality"]) == (1, 23)
    assert (call["gopLength"], call["frameIntervalP"]) == (50, 3)
    own = call[f"encodeCodecConfig.{form}Config"]
    assert (own["idrPeriod"], own["tier"], own["level"]) == (50, 0, AUTOMATIC[form])
    # Every keyframe can be begun with: what a decoder must know comes with it.
    assert own["repeatSPSPPS" if form == "hevc" else "repeatSeqHdr"] == 1
    assert judge.facts(out).codec == form


@dataclass(frozen=True)
class Lifted:
    """Of a format at CQ 12: the number of the level that 1080p60 needs, its tier and most kbit/s; and the kbit/s of the
    level that the driver would choose for 320×180 at 25 Hz."""

    level: int
    tier: int
    kbits: int
    automatic_kbits: int


LIFTED = {
    "h264": Lifted(50, 0, 168_750, 480),
    "hevc": Lifted(153, 1, 160_000, 1_500),
    "av1": Lifted(12, 1, 100_000, 1_500),
}


@pytest.mark.parametrize("form", LIFTED)
async def test_quality_is_not_held_back_by_the_rate_of_a_level(
    driver: Driver, certs: Path, tmp_path: Path, form: str
) -> None:
    large, expected = media.video(tmp_path / "large.mp4", 0.1, "1920x1080", 60, False), LIFTED[form]
    noise = media.video(tmp_path / "noise.mp4", 2, "320x180", 25, False, "-vf", "noise=alls=60:allf=t", "-crf", "10")
    settings = {**driver.environment(), "CODEC": "nvenc", "NVENC_FORMAT": form, "NVENC_CQ": 12}
    with encoder_harness.running(certs, tmp_path / "encoder", settings) as encoder:
        async with encoder.client() as client:
            for film in (large, noise):
                await client.result(film.with_suffix(".out.mp4"), CAPTION, {"url_video": film, "url_srt": SRT})
    call = driver.calls("nvEncInitializeEncoder")[-2]
    own = call[f"encodeCodecConfig.{form}Config"]
    assert (own["level"], own.get("tier", 0)) == (expected.level, expected.tier)
    assert call["chosen.maxBitRate"] == expected.kbits * 1000
    result = noise.with_suffix(".out.mp4")
    assert result.stat().st_size * 8 / 2 > 1.5 * expected.automatic_kbits * 1000
    if form == "hevc":  # small pictures have room in the main tier, which plays in more places
        assert (is_high_tier(large.with_suffix(".out.mp4")), is_high_tier(result)) == (True, False)
    assert not driver.state().violations


def is_high_tier(path: Path) -> bool:
    """The tier that an MP4 tells of its H.265 (ISO/IEC 14496-15, 8.3.3.1.2)."""
    data = path.read_bytes()
    return bool(data[data.index(b"hvcC") + 5] >> 5 & 1)


async def test_a_picture_that_is_too_small_for_the_card(driver: Driver, certs: Path, tmp_path: Path) -> None:
    film, out = media.video(tmp_path / "film.mp4", 1, "96x64"), tmp_path / "out.mp4"
    with encoder_harness.running(certs, tmp_path, driver.environment()) as encoder:
        async with encoder.client() as client:
            before = encoder.children()
            summary = await client.result(out, CAPTION, {"url_video": film, "url_srt": SRT})
            assert summary.codec == "x264"
            assert "from 145×49 to 4096×4096, and these are 96×64" in summary.codec_reason
            assert encoder.children() == before


async def test_b_frames_that_the_card_has_not(driver: Driver, certs: Path, tmp_path: Path) -> None:
    driver.fault(b_frames=0)
    settings = {**driver.environment(), "NVENC_FORMAT": "hevc"}
    with encoder_harness.running(certs, tmp_path, settings) as encoder:
        async with encoder.client() as client:
            found = await client.capabilities()
    assert "makes hevc with at most 0 B-frames between two others; set NVENC_B_FRAMES=0" in found.cards[0].fault


async def test_what_the_card_cannot_make_is_told(driver: Driver, certs: Path, tmp_path: Path) -> None:
    driver.fault(codecs="h264,hevc")
    settings = {**driver.environment(), "NVENC_FORMAT": "av1"}
    with encoder_harness.running(certs, tmp_path, settings) as encoder:
        async with encoder.client() as client:
            found = await client.capabilities()
    assert [codec.name for codec in found.codecs] == ["x264"]
    assert [codec.name for codec in found.unusable_codecs] == ["nvenc"]
    assert "cannot make av1; it makes h264, hevc" in found.unusable_codecs[0].fault
    assert list(found.cards[0].formats) == ["h264", "hevc"]
    assert found.driver == "13.0 (CUDA), 13.1 (NVENC)"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("preset", "p4"),
        ("rc", "cqp"),
        ("qp", "20"),
        ("profile", "high"),
        ("cq", "23.5"),
        ("cq", "0"),
        ("fps", "23.976"),
        ("codec", "H264"),
        ("tuning_info", "hq"),
        ("lookahead", "0"),
        ("bf", "2 "),
        ("level", "41"),
        ("level", "auto"),
        ("tier", "0"),
    ],
)
def test_words_that_would_be_misunderstood(word: str, value: str) -> None:
    words = Parameters().words(*SIZE, Fraction(25), 0)
    check_words(words)
    with pytest.raises(ValueError, match=word):
        check_words({**words, word: value})


def test_words_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="more than 31"):
        Parameters(b_frames=4, lookahead=28).words(*SIZE, Fraction(25), 0)
    with pytest.raises(ValueError, match="cq=60"):
        Parameters(cq=60).words(*SIZE, Fraction(25), 0)
    assert Parameters("av1", cq=60).words(*SIZE, Fraction(25), 0)["cq"] == "60"


def test_a_rate_that_is_not_known() -> None:
    words = Parameters().words(*SIZE, Fraction(0), 1)
    assert (words["fps"], words["gop"], words["gpu_id"]) == ("25/1", "50", "1")
    assert Parameters().words(*SIZE, Fraction(1, 10), 0)["gop"] == "1"

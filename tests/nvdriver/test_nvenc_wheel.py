"""The real wheel under the stand-in: what it asks arrives, and shows in what comes out."""

import io
import json
import subprocess
import sys

import av
import numpy as np
import pytest

from tests.nvdriver.driver import Driver
from tests.nvdriver.wheel import Job, Result, encoded, picture

pytestmark = pytest.mark.nvenc

IDR, B = 3, 1


# Formats of bare streams, by FFmpeg's names.
BARE = {"h264": "h264", "hevc": "hevc", "av1": "obu"}


def decoded(stream: bytes, codec: str = "h264") -> list[av.VideoFrame]:
    with av.open(io.BytesIO(stream), format=BARE[codec]) as container:
        return list(container.decode(video=0))


def luma(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="yuv420p")[: frame.height].astype(np.float64)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((one - other) ** 2), 1e-9)))


def initialized(driver: Driver) -> dict[str, object]:
    [call] = driver.calls("nvEncInitializeEncoder")
    return call.parameters


def clean(driver: Driver) -> bool:
    state = driver.state()
    assert [call.violation for call in state.violations] == []
    return all(held.sessions == held.bytes == held.contexts == 0 for held in state.ended.values())


def keyframes(result: Result) -> list[int]:
    return sorted(time for time, kind in zip(result.timestamps, result.types, strict=True) if kind == IDR)


@pytest.mark.parametrize("api", ["12.1", "13.1"])
def test_pictures_come_out_as_they_went_in(nvdriver: Driver, api: str) -> None:
    nvdriver.fault(api_version=api)
    result = encoded(nvdriver, Job({"preset": "P4", "rc": "vbr", "cq": "20", "gop": "25", "bf": "2"}))
    frames = decoded(result.stream)
    assert len(frames) == 60
    assert (frames[0].width, frames[0].height) == (320, 240)
    assert min(psnr(luma(frame), picture(n, 320, 240)[:240]) for n, frame in enumerate(frames)) > 32
    assert sorted(result.timestamps) == list(range(60))
    minor = nvdriver.calls("nvEncOpenEncodeSessionEx")[-1]["api_minor"]
    assert minor == {"12.1": 1, "13.1": 0}[api]
    assert clean(nvdriver)


@pytest.mark.parametrize("size", [(146, 50), (1000, 562), (322, 180)])
def test_rows_are_taken_by_their_pitch(nvdriver: Driver, size: tuple[int, int]) -> None:
    width, height = size
    result = encoded(nvdriver, Job({"rc": "vbr", "cq": "18"}, frames=8, width=width, height=height))
    frames = decoded(result.stream)
    assert [(frame.width, frame.height) for frame in frames] == [size] * 8
    assert min(psnr(luma(frame), picture(n, width, height)[:height]) for n, frame in enumerate(frames)) > 30
    assert nvdriver.calls("nvEncRegisterResource")[0]["pitch"] != width


@pytest.mark.parametrize("form", ["ARGB", "ABGR"])
def test_pixels_are_converted(nvdriver: Driver, form: str) -> None:
    [first, *_] = decoded(encoded(nvdriver, Job({"rc": "vbr", "cq": "18"}, frames=4, form=form)).stream)
    assert psnr(luma(first)[:, 96:], picture(0, 320, 240)[:240, 96:].astype(np.float64)) > 30
    red, _, blue = first.to_ndarray(format="rgb24")[120, 20].astype(int)
    assert (blue > red + 150) if form == "ARGB" else (red > blue + 150)


def test_what_is_asked_arrives(nvdriver: Driver) -> None:
    keywords = {
        "codec": "h264", "preset": "P5", "tuning_info": "high_quality", "rc": "vbr", "cq": "23", "gop": "48", "bf": "3",
        "lookahead": "12", "fps": "25", "maxbitrate": "4000000", "vbvbufsize": "8000000", "aq": "8", "temporalaq": "1",
        "qmax": "40", "initqp": "20", "repeatspspps": "1", "idrperiod": "96", "colorspace": "bt709",
        "multipass": "qres",
    }  # fmt: skip
    encoded(nvdriver, Job(keywords, frames=4))
    said = initialized(nvdriver)
    rate, h264 = said["rcParams"], said["encodeCodecConfig"]["h264Config"]
    assert (said["presetGUID"], said["encodeGUID"], said["tuningInfo"]) == ("P5", "h264", 1)
    assert (said["gopLength"], said["frameIntervalP"], h264["idrPeriod"]) == (48, 4, 96)
    assert (said["frameRateNum"], said["frameRateDen"]) == (25, 1)
    assert (rate["rateControlMode"], rate["targetQuality"]) == (1, 23)
    assert (rate["enableLookahead"], rate["lookaheadDepth"]) == (1, 12)
    assert (rate["enableAQ"], rate["aqStrength"], rate["enableTemporalAQ"]) == (1, 8, 1)
    assert rate["maxQP"]["qpIntra"] == 40
    assert rate["initialRCQP"]["qpInterB"] == 20
    assert (rate["vbvBufferSize"], rate["multiPass"], h264["repeatSPSPPS"]) == (8000000, 1, 1)
    assert h264["h264VUIParameters"]["colourMatrix"] == 1


GOPS = [("h264", gop, b_frames) for gop in (10, 25) for b_frames in (0, 1, 3)] + [("hevc", 12, 0), ("hevc", 17, 2)]


@pytest.mark.parametrize(("codec", "gop", "b_frames"), GOPS)
def test_gop_and_b_frames_show_in_the_stream(nvdriver: Driver, codec: str, gop: int, b_frames: int) -> None:
    keywords = {"codec": codec, "gop": str(gop), "bf": str(b_frames), "rc": "vbr", "cq": "25"}
    result = encoded(nvdriver, Job(keywords, frames=50))
    frames = decoded(result.stream, codec)
    assert [n for n, frame in enumerate(frames) if frame.key_frame] == list(range(0, 50, gop)) == keyframes(result)
    kinds = "".join(av.video.frame.PictureType(frame.pict_type).name for frame in frames)
    assert max(len(run) for run in kinds.replace("I", "P").split("P")) == b_frames
    assert (B in result.types) == (b_frames > 0)
    assert clean(nvdriver)


def test_idr_on_demand(nvdriver: Driver) -> None:
    result = encoded(nvdriver, Job({"gop": "30", "bf": "0"}, frames=40, force_idr=(7, 19)))
    assert keyframes(result) == [0, 7, 19]
    assert [n for n, frame in enumerate(decoded(result.stream)) if frame.key_frame] == [0, 7, 19]


def test_an_endless_gop_has_one_key_frame(nvdriver: Driver) -> None:
    job = Job({"bf": "0", "gop": str(2**32 - 1)}, frames=300, width=160, height=64)
    assert keyframes(encoded(nvdriver, job)) == [0]


def test_lookahead_holds_pictures_back(nvdriver: Driver) -> None:
    encoded(nvdriver, Job({"gop": "50", "bf": "0", "lookahead": "10", "rc": "vbr", "cq": "23"}, frames=30))
    statuses = [call.status for call in nvdriver.calls("nvEncEncodePicture")]
    assert statuses.index("NV_ENC_SUCCESS") == 10
    assert clean(nvdriver)


def test_b_frames_hold_pictures_back(nvdriver: Driver) -> None:
    encoded(nvdriver, Job({"gop": "50", "bf": "2"}, frames=30))
    statuses = [call.status for call in nvdriver.calls("nvEncEncodePicture")]
    assert statuses[:2] == ["NV_ENC_ERR_NEED_MORE_INPUT"] * 2
    assert statuses[-1] == "NV_ENC_SUCCESS"


def test_quality_and_rate_are_followed(nvdriver: Driver) -> None:
    def size(**keywords: str) -> int:
        return len(encoded(nvdriver, Job({"gop": "60", "bf": "0", "fps": "30", **keywords})).stream)

    assert size(rc="vbr", cq="18") > 1.5 * size(rc="vbr", cq="30")
    assert size(rc="constqp", constqp="18") > 1.3 * size(rc="constqp", constqp="30")
    assert 100_000 < size(rc="cbr", bitrate="150000") * 8 / 2 < 200_000


def test_parameter_sets_and_their_repetition(nvdriver: Driver) -> None:
    sps = b"\x00\x00\x00\x01\x67"
    apart = encoded(nvdriver, Job({"gop": "10", "bf": "0", "global_header": "1"}, frames=30))
    repeated = encoded(nvdriver, Job({"gop": "10", "bf": "0"}, frames=30))
    assert apart.parameter_sets.startswith(sps)
    assert repeated.stream.startswith(repeated.parameter_sets)
    assert (apart.stream.count(sps), repeated.stream.count(sps)) == (0, 3)
    assert len(decoded(apart.parameter_sets + apart.stream)) == 30


def test_hevc_of_eight_and_ten_bits(nvdriver: Driver) -> None:
    keywords = {"codec": "hevc", "gop": "20", "rc": "vbr", "cq": "22"}
    plain = decoded(encoded(nvdriver, Job(keywords, frames=30)).stream, "hevc")
    deep = decoded(encoded(nvdriver, Job(keywords, frames=30, form="P010")).stream, "hevc")
    assert [frame.format.name for frame in (plain[0], deep[0])] == ["yuv420p", "yuv420p10le"]
    assert (len(plain), len(deep)) == (30, 30)
    assert min(psnr(luma(frame), picture(n, 320, 240)[:240]) for n, frame in enumerate(plain)) > 30
    assert clean(nvdriver)


@pytest.mark.parametrize("b_frames", [0, 2, 4])
def test_av1_comes_in_the_order_of_display(nvdriver: Driver, b_frames: int) -> None:
    """With B-frames each packet still shows one picture; what is decoded before its time lies beside another."""
    keywords = {"codec": "av1", "gop": "12", "bf": str(b_frames), "rc": "vbr", "cq": "30", "repeatspspps": "1"}
    result = encoded(nvdriver, Job(keywords, frames=30, width=256, height=144))
    frames = decoded(result.stream, "av1")
    assert result.timestamps == tuple(range(30))
    assert [n for n, frame in enumerate(frames) if frame.key_frame] == [0, 12, 24] == keyframes(result)
    assert min(psnr(luma(frame), picture(n, 256, 144)[:144]) for n, frame in enumerate(frames)) > 30
    units = obus(result.stream)
    assert (units.count(DELIMITER), units.count(SEQUENCE_HEADER)) == (30, 3)
    assert (len(units) > 30 + 3 + 30) == (b_frames > 0)
    assert clean(nvdriver)


DELIMITER, SEQUENCE_HEADER = 2, 1


def obus(stream: bytes) -> list[int]:
    """The types of the units of an AV1 stream (specification, 5.3)."""
    types, at = [], 0
    while at < len(stream):
        types.append(stream[at] >> 3 & 15)
        at += 2 if stream[at] & 4 else 1
        size = shift = 0
        while True:
            size |= (stream[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if stream[at - 1] < 0x80:
                break
        at += size
    return types


# The level that is chosen for 320×240 at 30 Hz, and its most kbit/s; then for a level in the high tier.
LEVELS = {"h264": (13, 960, 41, 62_500), "hevc": (60, 1500, 123, 50_000), "av1": (0, 1500, 9, 50_000)}


@pytest.mark.parametrize("codec", LEVELS)
def test_a_level_holds_the_rate_back_and_a_tier_lifts_it(nvdriver: Driver, codec: str) -> None:
    automatic, automatic_kbits, number, kbits = LEVELS[codec]
    keywords = {"codec": codec, "rc": "vbr", "cq": "20", "bf": "0", "fps": "30", "tier": "1"}

    def chosen(**more: str) -> dict[str, int]:
        encoded(nvdriver, Job({**keywords, **more}, frames=2))
        told: dict[str, int] = nvdriver.calls("nvEncInitializeEncoder")[-1]["chosen"]
        return told

    assert chosen() == {"level": automatic, "tier": 0, "maxBitRate": automatic_kbits * 1000}
    assert chosen(level="4.1") == {"level": number, "tier": int(codec != "h264"), "maxBitRate": kbits * 1000}
    if codec != "h264":
        assert "error 8" in encoded(nvdriver, Job({**keywords, "level": "3"}, frames=2)).error


def test_the_card_says_what_it_is(nvdriver: Driver) -> None:
    said = subprocess.run(
        [sys.executable, "-c", _NAME], env=nvdriver.environment(), capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "API-GPU stand-in (no GPU)"


_NAME = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
name = ctypes.create_string_buffer(100)
assert cuda.cuInit(0) == 0 and cuda.cuDeviceGetName(name, 100, 0) == 0
print(name.value.decode())
"""


def test_capabilities(nvdriver: Driver) -> None:
    asked = "import json, PyNvVideoCodec as wheel; print(json.dumps(wheel.GetEncoderCaps()))"
    said = subprocess.run(
        [sys.executable, "-c", asked], env=nvdriver.environment(), capture_output=True, text=True, check=True
    )
    caps = json.loads(said.stdout)
    assert (caps["num_max_bframes"], caps["width_max"], caps["support_lookahead"]) == (4, 4096, 1)


def test_null_encoding_takes_pictures_and_gives_packets_at_once(nvdriver: Driver) -> None:
    nvdriver.fault(null_encode=1)
    result = encoded(nvdriver, Job({"gop": "10", "bf": "0"}, frames=30))
    assert result.types.count(IDR) == 3
    assert len(result.stream) == 30 * 6
    assert {call.status for call in nvdriver.calls("nvEncEncodePicture")} == {"NV_ENC_SUCCESS"}
    assert clean(nvdriver)

"""A second opinion on the stand-in: FFmpeg's own h264_nvenc, hevc_nvenc and av1_nvenc, which ask more of a driver."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.nvdriver.driver import Driver
from tests.support.judge import facts, pictures

pytestmark = pytest.mark.nvenc

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SOURCE = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2"]


def ffmpeg(driver: Driver, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FFMPEG, "-v", "error", "-y", *words], env=driver.environment(), capture_output=True, text=True, check=False
    )


OPTIONS = {
    "b-frames": ["-preset", "p4", "-bf", "3", "-rc", "vbr", "-cq", "20", "-g", "25"],
    "lookahead": ["-preset", "p6", "-bf", "2", "-rc-lookahead", "16", "-rc", "vbr", "-cq", "20"],
    "low latency": ["-preset", "p1", "-tune", "ull", "-rc", "cbr", "-b:v", "2M", "-bf", "0"],
    "constant quantizer": ["-rc", "constqp", "-qp", "20"],
    "pixels": ["-pix_fmt", "bgr0", "-rc", "vbr", "-cq", "20"],
    "planes": ["-pix_fmt", "yuv420p", "-rc", "vbr", "-cq", "20", "-b_ref_mode", "middle", "-bf", "3"],
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_h264_nvenc(nvdriver: Driver, tmp_path: Path, options: list[str]) -> None:
    out, source = tmp_path / "out.mp4", tmp_path / "source.mkv"
    assert ffmpeg(nvdriver, *SOURCE, "-c:v", "h264_nvenc", *options, str(out)).stderr == ""
    said = facts(out)
    assert (said.frames, said.width, said.height, said.codec) == (50, 320, 240, "h264")
    assert said.times == tuple(n / 25 for n in range(50))
    subprocess.run([FFMPEG, "-v", "error", *SOURCE, "-c:v", "ffv1", str(source)], check=True)
    far = [abs(one.astype(int) - other).mean() for one, other in zip(pictures(out), pictures(source), strict=True)]
    assert max(far) < 6
    state = nvdriver.state()
    assert (state.violations, {held.sessions for held in state.ended.values()}) == ((), {0})


def test_hevc_nvenc_of_ten_bits(nvdriver: Driver, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert ffmpeg(nvdriver, *SOURCE, "-c:v", "hevc_nvenc", "-pix_fmt", "p010le", "-cq", "22", str(out)).stderr == ""
    assert (facts(out).frames, facts(out).pixel_format) == (50, "yuv420p10le")
    assert nvdriver.state().violations == ()


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_b_frames_of_other_formats(nvdriver: Driver, tmp_path: Path, codec: str) -> None:
    out = tmp_path / "out.mp4"
    options = ["-preset", "p4", "-bf", "2", "-rc", "vbr", "-cq", "22", "-g", "20"]
    assert ffmpeg(nvdriver, *SOURCE, "-c:v", f"{codec}_nvenc", *options, str(out)).stderr == ""
    assert (facts(out).frames, facts(out).codec) == (50, codec)
    assert facts(out).times == tuple(n / 25 for n in range(50))
    assert nvdriver.state().violations == ()


def test_two_encoders_of_a_process(nvdriver: Driver, tmp_path: Path) -> None:
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    said = ffmpeg(nvdriver, *SOURCE, "-c:v", "h264_nvenc", str(one), "-c:v", "h264_nvenc", "-s", "640x480", str(other))
    assert said.stderr == ""
    assert (facts(one).width, facts(other).width) == (320, 640)
    assert nvdriver.state().violations == ()


FAULTS = {
    "session_limit": ({"session_limit": 1, "session_limit_status": 21}, "incompatible client key (21)"),
    "chip": ({"codecs": ""}, "unsupported device (2)"),
    "api": ({"api_version": "12.1"}, "The minimum required Nvidia driver for nvenc is"),
    "devices": ({"devices": 0}, "CUDA_ERROR_NO_DEVICE"),
    "picture": ({"encode_fails_at": 3}, "EncodePicture failed!: generic error (20)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_by_their_names(nvdriver: Driver, tmp_path: Path, fault: str) -> None:
    settings, words = FAULTS[fault]
    nvdriver.fault(**settings)
    outputs = ["-c:v", "h264_nvenc", str(tmp_path / "a.mp4"), "-c:v", "h264_nvenc", str(tmp_path / "b.mp4")]
    said = ffmpeg(nvdriver, *SOURCE, *(outputs if fault == "session_limit" else outputs[:3]))
    assert said.returncode != 0
    assert words in said.stderr

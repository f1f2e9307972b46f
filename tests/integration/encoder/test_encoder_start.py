"""The start: settings that cannot be used, and what `doctor` tells."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import encoder_harness


def encoder(certs: Path, folder: Path, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "encoder", *arguments],
        env=encoder_harness.environment(certs, folder, settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("BATCH_SIZE", "0"),
        ("ALLOWED_IPS", "10.0.0.0/33"),
        ("CODEC", "vp9"),
        ("X264_PRESET", "quick"),
        ("CRF", "52"),
        ("NVENC_PRESET", "p4"),
        ("NVENC_PRESET", "P8"),
        ("NVENC_FORMAT", "h265"),
        ("NVENC_CQ", "0"),
        ("NVENC_CQ", "52"),
        ("NVENC_B_FRAMES", "5"),
        ("NVENC_LOOKAHEAD", "30"),
        ("NVENC_AT_LIMIT", "fail"),
        ("LOG_LEVEL", "loud"),
        ("FFMPEG_BINARY", "/nowhere/ffmpeg"),
        ("FONTS_DIR", "/nowhere/fonts"),
        ("WORK_DIR", "/dev/null/work"),
        ("TLS_CERT", "/nowhere/encoder.crt"),
    ],
)
def test_a_bad_setting_stops_the_start_with_one_line(certs: Path, tmp_path: Path, name: str, value: str) -> None:
    done = encoder(certs, tmp_path, **{name: value})
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(told) == 1
    assert value in told[0]


def test_a_binary_that_is_no_ffmpeg_stops_the_start(certs: Path, tmp_path: Path) -> None:
    done = encoder(certs, tmp_path, FFMPEG_BINARY="/bin/false")
    assert done.returncode == 2
    assert "FFMPEG_BINARY=" in done.stderr


def test_doctor_tells_what_works_here(certs: Path, tmp_path: Path) -> None:
    done = encoder(certs, tmp_path, "doctor")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert Path(told["ffmpeg"]["path"]).is_file()
    assert {"name": "x264", "format": "h264", "works": True, "reason": ""} in told["codecs"]
    assert set(told["gpu"]) == {"driver", "cards", "nvdec"}
    assert any("Fira" in name for name in told["fonts"])
    assert told["work_dir"] == str(tmp_path / "work")


def test_an_unknown_command_is_refused(certs: Path, tmp_path: Path) -> None:
    assert encoder(certs, tmp_path, "surgeon").returncode == 2

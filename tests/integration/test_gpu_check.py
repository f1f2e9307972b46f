"""`make gpu-check` on the stand-in for the driver: every check begins and ends, and is in the report."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.nvdriver.driver import Driver
from tests.nvdriver.fixtures import nvdriver, nvdriver_libraries
from tests.nvdriver.obliging import ObligingFfmpeg, obliging
from tests.support.paths import ROOT
from tools.gpu_check.checks import CHECKS
from tools.gpu_check.finding import FAILED, IMPOSSIBLE, NOTED, PASSED, Finding
from tools.gpu_check.report import COLUMNS, card_row, markdown

pytestmark = pytest.mark.nvenc

__all__ = ["nvdriver", "nvdriver_libraries", "obliging"]

CARD = "API-GPU stand-in (no GPU)"


def checked(
    folder: Path, driver: Driver | None, *words: str, **settings: object
) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code of a run in its short form, what it found by the name of the check, and the report."""
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tools.gpu_check", "--short", "--out", str(folder), *words],
        env=environment
        | (driver.environment() if driver else {})
        | {key: str(value) for key, value in settings.items()},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
    )
    report = (folder / "gpu-check.md").read_text()
    assert report in done.stdout, done.stderr
    return done.returncode, json.loads(report.split("```json\n")[1].split("```")[0]), report


def test_checks_of_each_kind_run_from_end_to_end(nvdriver: Driver, tmp_path: Path) -> None:
    """The stand-in encodes H.264 as x264 does, and decodes nothing."""
    nvdriver.fault(session_limit=3)
    code, found, report = checked(
        tmp_path, nvdriver, "machine", "clip", "splice", "splice-hevc", "sessions", "sandboxes"
    )
    outcomes = [one["outcome"] for one in found.values()]
    assert (code, outcomes) == (0, [NOTED, PASSED, PASSED, PASSED, PASSED, IMPOSSIBLE]), report
    assert found["clip"]["figures"]["types"].startswith("IBBP")
    assert min(found[name]["figures"]["copied"] for name in ("splice", "splice-hevc")) > 90
    assert found["sessions"]["figures"] == {"sessions": 3, "is_limited": True, "tasks": 4}
    assert "libnvcuvid.so.1 is not found" in found["sandboxes"]["text"]
    assert "| – | – | – | 3 | " in report
    assert str(ROOT) not in report


@pytest.mark.long
def test_all_checks_run_from_end_to_end(nvdriver: Driver, tmp_path: Path) -> None:
    code, found, report = checked(tmp_path, nvdriver)
    expected = {**dict.fromkeys(CHECKS, PASSED), "machine": NOTED, "sandboxes": IMPOSSIBLE, "decoding": IMPOSSIBLE}
    assert {name: one["outcome"] for name, one in found.items()} == expected, report
    assert code == 0
    assert found["formats"]["figures"]["h264"]["header"]["profile_idc"] == 100
    assert found["formats"]["figures"]["hevc"]["header"]["colour_primaries"] == 1
    assert found["times"]["figures"]["small"] == "96×64 by x264"
    assert found["memory"]["figures"]["tasks"] == 8
    assert f"| {CARD} | 13.0 |" in report
    assert str(tmp_path) not in report
    assert str(ROOT) not in report


@pytest.mark.parametrize(("name", "outcome"), [("NVIDIA A100-SXM4-80GB", NOTED), ("NVIDIA L4", FAILED)])
def test_a_chip_without_an_encoder_fails_no_check(nvdriver: Driver, tmp_path: Path, name: str, outcome: str) -> None:
    nvdriver.fault(device_name=name, codecs="")
    _, found, report = checked(tmp_path, nvdriver, "doctor", "clip", "sessions", "cards")
    expected = {"doctor": outcome, "clip": IMPOSSIBLE, "sessions": IMPOSSIBLE, "cards": outcome}
    assert {check: one["outcome"] for check, one in found.items()} == expected, report
    assert f"| {name} | 13.0 | none |" in report


def test_a_check_that_hangs_ends_no_other(nvdriver: Driver, tmp_path: Path) -> None:
    nvdriver.fault(encode_delay_ms=60_000)
    code, found, _ = checked(tmp_path, nvdriver, "--limit", "15", "doctor", "machine")
    assert code == 1
    assert (found["doctor"]["outcome"], found["doctor"]["text"]) == (FAILED, "it took longer than 15 s")
    assert found["machine"]["outcome"] == NOTED


def test_without_a_driver_each_check_says_so(tmp_path: Path) -> None:
    code, found, report = checked(tmp_path, None, "machine", "clip")
    assert code == 1
    assert {one["outcome"] for one in found.values()} == {IMPOSSIBLE}
    assert found["clip"]["text"].startswith("no NVIDIA driver is here")
    assert "| – | – |" in report


@pytest.mark.parametrize(
    "findings",
    [{}, {"doctor": Finding(FAILED, "it took longer than 5 s", {"messages": []}), "clip": Finding(FAILED, "")}],
)
def test_a_report_of_what_failed_is_whole(findings: dict[str, Finding]) -> None:
    assert len(card_row(findings)) == len(COLUMNS)
    assert markdown(findings, is_short=False).count("\n| ") >= 4


def test_decoding_is_timed_without_an_encoder_too(nvdriver: Driver, obliging: ObligingFfmpeg, tmp_path: Path) -> None:
    nvdriver.fault(device_name="NVIDIA H200", codecs="")
    _, found, report = checked(tmp_path, nvdriver, "decoding", FFMPEG_BINARY=obliging.program)
    assert found["decoding"]["outcome"] == NOTED, report
    clip = found["decoding"]["figures"]["clips"]["H.264"]
    assert (clip["is_exact"], clip.keys()) == (True, {"is_exact", "by_processor", "by_card"})
    assert min(clip["by_processor"], clip["by_card"]) > 0
    assert f"H.264 {clip['by_card']} against {clip['by_processor']} frames/s" in found["decoding"]["text"]


def test_what_decoding_is_worth_is_told_of_what_the_card_decodes() -> None:
    clips = {
        "H.264": {"is_exact": True, "by_processor": 480, "by_card": 320},
        "H.265 2160p": {"is_exact": None, "by_processor": 90},
    }
    row = card_row({"decoding": Finding(NOTED, "", {"clips": clips})})
    assert row[COLUMNS.index("decoding pays")] == "H.264 0.67×"

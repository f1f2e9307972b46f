"""The demo's judgement: results that were not edited must not pass."""

import subprocess
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.paths import ROOT
from tools.demo import Demo, told
from tools.samples import Samples, cues


class Idle:
    """A transport that returns the sources."""

    name = "idle"

    def caption(self, samples: Samples, folder: Path) -> list[Path]:
        return [samples.video]

    def img2vid(self, samples: Samples, seconds: float, folder: Path) -> list[Path]:
        return [samples.video]

    def addaudio(self, samples: Samples, folder: Path) -> list[Path]:
        return [samples.video]


def test_what_was_not_edited_does_not_pass(media: Samples) -> None:
    caption, clips, audio = Demo(media).run(Idle())
    assert caption.faults == ["no caption at 0.6 s"]
    assert set(clips.faults) >= {"frames 50, not 48", "size 320×240, not 1920×1080"}
    assert audio.faults == ["duration 2.00 s, not 1.50 s", "sound 2.02 s, not 1.50 s"]


def test_each_operation_is_told_as_it_is_done_and_how_many_there_are(media: Samples) -> None:
    said = StringIO()
    outcomes = told(Demo(media), [Idle(), Idle()], Console(file=said, width=200))
    lines = [line.rpartition(",")[0] for line in said.getvalue().splitlines()]
    operations = ["caption", "img2vid", "addaudio"] * 2
    assert lines == [f"{number} of 6: {name} over idle" for number, name in enumerate(operations, 1)]
    assert [outcome.operation for outcome in outcomes] == operations


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ("00:00:01,000 --> 00:00:02,000", (1.5, 0.5)),
        ("00:00:00,000 --> 00:00:02,000", (1.0, 6.0)),
        ("00:00:00,000 --> 00:00:10,000", (5.0, None)),
        ("00:00:00,000 --> 01:00:00,000", (None, None)),
        ("no cue", (None, 5.0)),
        ("0:00:04.000-->0:00:05.500\n\n0:00:00.000-->0:00:04.000", (2.0, 7.75)),
    ],
)
def test_times_with_and_without_a_cue(tmp_path: Path, spans: str, expected: tuple[float | None, float | None]) -> None:
    subtitles = tmp_path / "a.srt"
    subtitles.write_text(spans)
    assert cues(subtitles, 10.0) == expected


@pytest.mark.parametrize("name", ["missing.mp4", "it's.mp4", 'a "b" $HOME.mp4'])
def test_a_video_that_is_not_there_is_told_in_one_line(name: str) -> None:
    make = ["make", "--silent", "--old-file=setup", "demo", f"VIDEO={name.replace('$', '$$')}"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"tools.demo: cannot read {name}: no such file or folder."


def test_a_video_that_cannot_be_decoded_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    make = ["make", "--silent", "--old-file=setup", "demo", f"VIDEO={tmp_path / 'broken.mp4'}"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("tools.demo: cannot decode the video: ")

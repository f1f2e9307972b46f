"""The demo's judgement: results that were not edited must not pass."""

from pathlib import Path

import pytest

from tools.demo import Demo
from tools.samples import Samples, cues


class Idle:
    """A way that gives the sources back."""

    name = "idle"

    def caption(self, samples: Samples, folder: Path) -> list[Path]:
        """See client.ways.Way."""
        return [samples.video]

    def img2vid(self, samples: Samples, seconds: float, folder: Path) -> list[Path]:
        """See client.ways.Way."""
        return [samples.video]

    def addaudio(self, samples: Samples, folder: Path) -> list[Path]:
        """See client.ways.Way."""
        return [samples.video]


def test_what_was_not_edited_does_not_pass(media: Samples) -> None:
    caption, clips, audio = Demo(media).run(Idle())
    assert caption.faults == ["no caption at 0.6 s"]
    assert set(clips.faults) >= {"frames 50, not 48", "size 320×240, not 1920×1080"}
    assert audio.faults == ["duration 2.00 s, not 1.50 s", "sound 2.02 s, not 1.50 s"]


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

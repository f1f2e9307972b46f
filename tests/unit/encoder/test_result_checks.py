"""Checks of finished results: what they say of one, and how often they read it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from encoder.ffmpeg.command import COPY
from encoder.media.reading import on_reading
from encoder.operations.plan import Extent, Plan
from encoder.planning.checks import finish_results
from encoder.planning.spare import FRAMES, SIDE, sample


@pytest.fixture
def read() -> Iterator[list[str]]:
    """The fields of what is read, once for each time."""
    found: list[str] = []
    on_reading(found.append)
    yield found
    on_reading(lambda _: None)


@pytest.mark.parametrize(
    ("codec", "copied", "times"),
    [("x264", None, 1), ("x264", 0, 1), ("x264", 1, 2), (COPY, None, 2)],
    ids=["encoded", "encoded, though some could have been copied", "copied in part", "copied"],
)
def test_sizes_that_may_vary_are_looked_for_where_frames_are_copied(
    read: list[str], tmp_path: Path, codec: str, copied: int | None, times: int
) -> None:
    result = tmp_path / "result"
    result.write_bytes(sample())
    extent = None if copied is None else lambda: Extent(copied)
    plan = Plan(
        runs=(), field="url_video", codec=codec, duration_seconds=0.2, frames_total=2, warnings=(), extent=extent
    )
    summary = finish_results(plan, result)
    assert (summary.frames, summary.width, summary.height) == (FRAMES, SIDE, SIDE)
    assert read == ["result"] * times

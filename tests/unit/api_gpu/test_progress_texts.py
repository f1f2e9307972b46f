"""What the command line says of a job that runs."""

import pytest

from api_gpu.cli.display import bytes_text, describe
from api_gpu.outcomes import Progress


@pytest.mark.parametrize(
    ("processed", "total", "fps", "text"),
    [(0, 1, 30.4, "12/50 frames, 30 fps"), (1, 3, 0.0, "1 of 3 done, 12/50 frames")],
)
def test_a_rate_is_told_where_it_is_known(processed: int, total: int, fps: float, text: str) -> None:
    event = Progress(frames_done=12, frames_total=50, fps=fps, seconds_left=None, processed=processed, total=total)
    assert describe(event) == text


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (60, 120, "0.1/0.1 kB, 0 kB/s"),
        (5000, None, "5.0 kB, 2 kB/s"),
        (5000, 4_000_000, "0.0/4.0 MB, 0 MB/s"),
        (4_000_000, 4_000_000, "4.0/4.0 MB, 2 MB/s"),
    ],
)
def test_bytes_are_told_in_a_unit_that_tells_something(done: int, total: int | None, text: str) -> None:
    assert bytes_text(done, total, 2.0) == text

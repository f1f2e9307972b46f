"""What the command line says of a job that runs."""

import pytest

from api_gpu.cli.display import describe
from api_gpu.outcomes import Progress


@pytest.mark.parametrize(
    ("processed", "total", "fps", "text"),
    [(0, 1, 30.4, "12/50 frames, 30 fps"), (1, 3, 0.0, "1 of 3 done, 12/50 frames")],
)
def test_a_rate_is_told_where_it_is_known(processed: int, total: int, fps: float, text: str) -> None:
    event = Progress(frames_done=12, frames_total=50, fps=fps, seconds_left=None, processed=processed, total=total)
    assert describe(event) == text

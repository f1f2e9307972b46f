"""Pieces that are to be put together: those that do not fit are refused, each by its name."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from encoder.media.info import Source
from encoder.operations.joining import check_alike
from servicekit.errors import FailedPrecondition

FRAMES = 6


def piece(folder: Path, frames: int = FRAMES, side: int = 64, preset: str = "veryfast", first: int = 0) -> Path:
    """Write a film in H.264; without the packets before `first`, the file lacks two pictures more."""
    path = folder / f"{frames}-{side}-{preset}-{first}.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=12, options={"preset": preset, "threads": "1"})
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        shades = (av.VideoFrame.from_ndarray(np.full((side, side, 3), 9 * n, np.uint8)) for n in range(frames))
        packets = itertools.chain(*(stream.encode(shade) for shade in shades), stream.encode(None))
        for number, packet in enumerate(packets):
            if number >= first:
                film.mux(packet)
    return path


def check(*paths: Path) -> None:
    check_alike([Source(f"pieces[{n}]", path) for n, path in enumerate(paths)], [FRAMES] * len(paths))


def test_pieces_that_are_alike_fit(tmp_path: Path) -> None:
    check(piece(tmp_path), piece(tmp_path), piece(tmp_path))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"side": 80}, "encoded otherwise"),
        ({"preset": "ultrafast"}, "encoded otherwise"),
        ({"frames": FRAMES - 1}, "5 frames where 6 were planned"),
        ({"frames": FRAMES + 3, "first": 1}, "cannot be put after"),
    ],
)
def test_a_piece_that_does_not_fit_is_named(tmp_path: Path, other: dict[str, int | str], why: str) -> None:
    with pytest.raises(FailedPrecondition, match=rf"^pieces\[1\]: .*{why}.* give all encoders one version"):
        check(piece(tmp_path), piece(tmp_path, **other))  # type: ignore[arg-type]

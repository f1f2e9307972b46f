"""How often a video is opened until all is known that a plan needs of it: the processor time of short tasks."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from encoder.media import packets, probe
from encoder.media.info import Source
from encoder.media.reading import on_reading
from encoder.planning.spare import sample


@pytest.fixture
def read() -> Iterator[list[str]]:
    """The fields of what is read, once for each time."""
    found: list[str] = []
    on_reading(found.append)
    yield found
    on_reading(lambda _: None)


def test_a_short_mp4_is_opened_once(read: list[str], tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(sample())
    source = Source("url_video", path)
    info, video = probe.probe_video(source)
    assert packets.shown_times(source, info, video, info.audio) == ([], 0.0)
    assert (video.is_steady, video.sizes, read) == (True, (), ["url_video"])


def test_a_picture_that_stands_is_found(read: list[str], tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=2, width=64, height=64, pix_fmt="yuv420p")
        for number in range(4):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 2)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    source = Source("url_video", path)
    info, video = probe.probe_video(source)
    assert packets.shown_times(source, info, video) == ([0.0, 0.5, 1.0, 1.5], 2.0)
    assert (video.is_steady, len(read)) == (False, 2)

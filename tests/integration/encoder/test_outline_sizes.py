"""Sizes of the pictures of a film of which the beginning alone has come."""

from pathlib import Path

import av
import pytest

from encoder.media import frame_ranges, packets, probe
from encoder.media.info import Source
from servicekit.errors import FailedPrecondition
from tools.samples import X264, ffmpeg

PARTS = (("128x72", 5), ("64x36", 3))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of one size, three of another, with a keyframe in each, which begins with its parameters."""
    folder = tmp_path_factory.mktemp("films")
    for number, (size, seconds) in enumerate(PARTS):
        picture = f"testsrc2=size={size}:rate=10:duration={seconds}"
        ffmpeg("-f", "lavfi", "-i", picture, *X264, "-g", "10", "-f", "h264", str(folder / f"{number}.h264"))
    both = folder / "both.h264"
    both.write_bytes(b"".join((folder / f"{number}.h264").read_bytes() for number in range(len(PARTS))))
    film = folder / "film.mp4"
    ffmpeg("-r", "10", "-f", "h264", "-i", str(both), "-c", "copy", "-movflags", "+faststart", str(film))
    return film


@pytest.fixture
def outline(film: Path, tmp_path: Path) -> Source:
    """The film with a hole behind its second keyframe."""
    data = film.read_bytes()
    with av.open(str(film)) as container:
        places = sorted(packet.pos for packet in container.demux(video=0) if packet.pos is not None and packet.pos > 0)
    path = tmp_path / "outline.mp4"
    path.write_bytes(data[: places[12]] + bytes(len(data) - places[12]))
    return Source("url_video", path, is_outline=True)


def test_a_film_is_told_by_its_beginning(film: Path, outline: Source) -> None:
    info, video = probe.probe_video(outline)
    assert ((video.width, video.height), video.sizes, video.frames) == ((128, 72), (), 80)
    assert packets.start_seconds(outline, info, video) == 0.0
    assert probe.probe_video(Source("url_video", film))[1].sizes == ((128, 72), (64, 36))


def test_pictures_of_another_size_than_the_beginning_are_found_where_they_have_come(
    film: Path, outline: Source
) -> None:
    """The captions would be laid out for the size of others."""
    info, video = probe.probe_video(outline)
    whole = Source("url_video", film)
    frame_ranges.check_size(whole, info, video, 4.5)
    with pytest.raises(FailedPrecondition) as caught:
        frame_ranges.check_size(whole, info, video, 6.5)
    assert caught.value.reason == "OUTLINE_TOO_SMALL"


def test_an_index_at_the_end_is_asked_for(film: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    ffmpeg("-i", str(film), "-c", "copy", str(late))
    data = late.read_bytes()
    index = data.rindex(b"moov") - 4
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: index - 100] + bytes(len(data) - index + 100))
    assert frame_ranges.index_range(Source("url_video", cut, is_outline=True)) == [(index, len(data))]
    assert frame_ranges.index_range(Source("url_video", film)) == []


@pytest.mark.parametrize("ending", ["flv", "mkv", "avi"])
def test_of_other_kinds_the_whole_is_asked_for(film: Path, tmp_path: Path, ending: str) -> None:
    """FLV was taken for one that is cut off, as its end tells whether it is."""
    other = tmp_path / f"film.{ending}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=128x72:rate=10:duration=2", *X264, str(other))
    with pytest.raises(FailedPrecondition) as caught:
        frame_ranges.index_range(Source("url_video", other, is_outline=True))
    assert caught.value.reason == "OUTLINE_TOO_SMALL"

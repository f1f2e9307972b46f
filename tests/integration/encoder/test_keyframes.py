"""What is held against the index of a video before it is cut by it, and what pieces keep of their film."""

import errno
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from encoder.media import keyframes, packet_index, pieces, probe
from encoder.media.info import Source
from encoder.media.packet_index import FilmIndex
from encoder.media.pieces import PacketSpan
from tests.support import media, split_films

SECONDS = 6


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_films.write_film(tmp_path_factory.mktemp("film") / "film.mp4", SECONDS)


def indexed(path: Path, *, is_outline: bool = False) -> tuple[Source, FilmIndex]:
    """A file, and its index."""
    source = Source("url_video", path, is_outline=is_outline)
    index = packet_index.read_index(source, probe.probe_video(Source("url_video", path))[0])
    assert index is not None
    return source, index


def with_keys(index: FilmIndex, step: int) -> FilmIndex:
    """An index by which every so many pictures are keyframes."""
    keys = np.arange(len(index.picture.keys)) % step == 0
    return replace(index, picture=replace(index.picture, keys=keys))


def test_an_index_that_flags_pictures_that_are_no_keyframes_is_not_believed(film: Path, tmp_path: Path) -> None:
    source, index = indexed(film)
    untold = tmp_path / "untold.mp4"
    untold.write_bytes(film.read_bytes().replace(b"stss", b"free"))
    assert keyframes.are_true(source, index)
    assert not keyframes.are_true(*indexed(untold))
    # By the step of 20 it is right.
    found = {step: keyframes.are_true(source, with_keys(index, step)) for step in (1, 2, 3, 4, 15, 20)}
    assert found == {1: False, 2: False, 3: False, 4: False, 15: False, 20: True}


def test_of_an_outline_what_is_there_is_judged(film: Path, tmp_path: Path) -> None:
    _, index = indexed(film)
    data = bytearray(film.read_bytes())
    first = index.picture.offsets[0] + index.picture.sizes[0]
    data[first : index.picture.offsets[-1]] = bytes(index.picture.offsets[-1] - first)
    outline = tmp_path / "outline.mp4"
    outline.write_bytes(data)
    source = Source("url_video", outline, is_outline=True)
    middle = replace(index, picture=replace(index.picture, keys=index.picture.keys.copy()))
    middle.picture.keys[-1] = False
    assert keyframes.are_true(source, middle)
    assert not keyframes.are_true(source, with_keys(index, 1))


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4", "libx265"])
def test_keyframes_of_other_codecs_are_known(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "film.mov"
    media.run("-f", "lavfi", "-i", "testsrc2=size=96x54:rate=10:duration=3", "-c:v", codec, "-g", "10", path)
    assert keyframes.are_true(*indexed(path))


def test_a_full_disk_is_not_the_fault_of_the_film(film: Path) -> None:
    source, index = indexed(film)
    with pytest.raises(OSError, match="No space left") as caught:
        pieces.cut_out(source, [PacketSpan(index.picture.stream, int(index.picture.times[0]), 20)], Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC


def test_a_piece_has_the_shape_that_the_container_tells(film: Path, tmp_path: Path) -> None:
    squeezed, piece = tmp_path / "squeezed.mp4", tmp_path / "piece.mp4"
    media.run("-i", film, "-c", "copy", "-aspect", "4:3", squeezed)
    source, index = indexed(squeezed)
    pieces.cut_out(source, [PacketSpan(index.picture.stream, int(index.picture.times[20]), 20)], piece)
    aspects = [probe.probe_video(Source("url_video", path))[1].pixel_aspect for path in (squeezed, piece)]
    assert aspects == [Fraction(3, 4)] * 2

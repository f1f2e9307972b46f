"""Films composed of ranges of files: what an index tells, what its damage does, and tables of films that are large."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from encoder.media.composing import ComposedTracks, Composition
from encoder.media.pieces import FRAGMENTS
from encoder.media.sample_index import SampleFragment, SampleIndex, SampleRun, append_index, read_index
from tests.support import composing, media
from tests.support.growth import assert_grows_gently

SECONDS = 4


@pytest.fixture(scope="module")
def piece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("piece")
    plain, path = media.video(folder / "plain.mp4", SECONDS, "64x36", 30, True), folder / "piece.mp4"
    options = [part for name, value in FRAGMENTS.items() for part in (f"-{name}", value)]
    media.run("-i", plain, "-c", "copy", *options, path)
    return path


def with_index(piece: Path, path: Path) -> tuple[Path, int]:
    path.write_bytes(piece.read_bytes())
    return path, append_index(path)


def composed(piece: Path, path: Path, indexes: list[SampleIndex]) -> None:
    """Write the film of pieces that are all the same file, one after the other."""
    skeletons = []
    for number, index in enumerate(indexes):
        skeletons.append(path.with_name(f"skeleton{number}.mp4"))
        index.write_skeleton(skeletons[-1])
    media.run("-fflags", "+noparse", "-i", skeletons[0], "-map", "0", "-c", "copy", path)
    composition = Composition([ComposedTracks(list(enumerate(indexes)), (0, 1))])
    composition.write_head(path)
    data = piece.read_bytes()
    path.write_bytes(path.read_bytes() + b"".join(data[found.start : found.end] for found in composition.ranges))


def test_a_file_composed_of_one_has_its_packets(piece: Path, tmp_path: Path) -> None:
    path, index_bytes = with_index(piece, tmp_path / "whole.mp4")
    assert path.stat().st_size == piece.stat().st_size + index_bytes
    assert composing.packets(path) == composing.packets(piece)
    alone = tmp_path / "alone.mp4"
    alone.write_bytes(bytes(piece.stat().st_size) + path.read_bytes()[-index_bytes:])
    film, copied = tmp_path / "film.mp4", tmp_path / "copied.mp4"
    composed(piece, film, [read_index(alone)])
    media.run("-i", piece, "-map", "0", "-c", "copy", copied)
    assert composing.packets(film) == composing.packets(copied)
    assert composing.tables(film) == composing.tables(copied)


def test_skeletons_of_other_files_make_no_film(piece: Path, tmp_path: Path) -> None:
    index = read_index(with_index(piece, tmp_path / "whole.mp4")[0])
    with pytest.raises(ValueError, match="samples came of"):
        composed(piece, tmp_path / "film.mp4", [index, index])


def test_what_is_damaged_is_refused(piece: Path, tmp_path: Path) -> None:
    path, index_bytes = with_index(piece, tmp_path / "whole.mp4")
    data = path.read_bytes()
    with pytest.raises(ValueError, match="no index"):
        read_index(piece)
    with pytest.raises(ValueError, match="no fragments"):
        append_index(media.video(tmp_path / "plain.mp4", 1, "64x36", 30, True))
    for place in range(len(data) - index_bytes, len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            read_index(path)
        except ValueError:
            continue
        assert place - (len(data) - index_bytes) < 8  # the head of its box, which nobody reads


@pytest.mark.parametrize(
    ("kind", "offset", "value"),
    [
        (b"tfhd", 4, b"\0\0\0\0"),
        (b"trun", 8, b"\xff\xff\xff\xff"),
        (b"trun", 12, b"\x7f\xff\xff\xff"),
        (b"tfdt", 4, b"\x07\0\0\0"),
        (b"traf", -4, b"\xff\xff\xff\xff"),
    ],
)
def test_a_fragment_that_claims_what_cannot_be_is_refused(
    piece: Path, tmp_path: Path, kind: bytes, offset: int, value: bytes
) -> None:
    data = piece.read_bytes()
    place = data.index(kind) + offset
    path = tmp_path / "odd.mp4"
    path.write_bytes(data[:place] + value + data[place + 4 :])
    append_index(path)
    with pytest.raises(ValueError, match=r"fragment|samples|box|cannot be|lie outside|damaged"):
        read_index(path)


def test_places_beyond_four_gibibytes_are_told_in_large_numbers(piece: Path, tmp_path: Path) -> None:
    index = read_index(with_index(piece, tmp_path / "whole.mp4")[0])
    far = tuple(
        SampleFragment(one.begin, tuple(SampleRun(run.track, run.start, run.sizes * 200_000) for run in one.runs))
        for one in index.fragments
    )
    skeleton, film = tmp_path / "skeleton.mp4", tmp_path / "film.mp4"
    index.write_skeleton(skeleton)
    media.run("-fflags", "+noparse", "-i", skeleton, "-map", "0", "-c", "copy", film)
    composition = Composition([ComposedTracks([(0, SampleIndex(b"", far, ()))], (0, 1))])
    composition.write_head(film)
    head = film.read_bytes()
    assert composition.size_bytes > 1 << 32
    assert (head.count(b"co64"), head.count(b"stco")) == (2, 0)
    size, kind, large = struct.unpack(">I4sQ", head[-16:])
    assert (size, kind, large) == (1, b"mdat", 16 + composition.size_bytes)


def test_sound_and_pictures_lie_side_by_side_by_the_clock() -> None:
    def file(times: list[int], size: int) -> SampleIndex:
        runs = [SampleRun(0, 100 + 2 * size * place, np.array([size])) for place in range(len(times))]
        return SampleIndex(b"", tuple(map(lambda t, r: SampleFragment(Fraction(t), (r,)), times, runs)), ())

    pictures, sound = [(0, file([0, 6], 50)), (1, file([12, 18], 50))], [(2, file([0, 2, 4, 6, 13], 3))]
    made = Composition([ComposedTracks(pictures, (0,)), ComposedTracks(sound, (0,))])
    # Of one file after the other with what lies between them.
    assert [(one.file, one.start, one.end) for one in made.ranges] == [
        (0, 100, 150),
        (2, 100, 115),
        (0, 200, 250),
        (2, 118, 121),
        (1, 100, 150),
        (2, 124, 127),
        (1, 200, 250),
    ]
    assert made.size_bytes == sum(one.end - one.start for one in made.ranges)


def test_a_long_index_is_read_in_step_with_its_size(piece: Path, tmp_path: Path) -> None:
    data = piece.read_bytes()
    head = data.index(b"moof") - 4
    end = data.index(b"mfra") - 4

    def long(count: int) -> Path:
        path = tmp_path / "long.mp4"
        path.write_bytes(data[:head] + data[head:end] * count)
        append_index(path)
        return path

    assert_grows_gently(long, read_index, 200)

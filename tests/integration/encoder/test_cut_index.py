"""Pieces of films by an index of their own: they are the same as by the index of the film, to the byte."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from encoder.media import packet_index, pieces, probe
from encoder.media.cut_index import IndexCutter
from encoder.media.info import Source
from encoder.media.packet_index import FilmIndex, StreamIndex
from encoder.media.pieces import CutIndex, PacketSpan
from tests.support import media, split_films

SECONDS = 12
RENUMBERED = bytes([0x80, 0, 0, 0])


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_films.write_film(tmp_path_factory.mktemp("film") / "film.mp4", SECONDS)


def indexed(path: Path) -> tuple[Source, FilmIndex]:
    source = Source("url_video", path)
    index = packet_index.read_index(source, probe.probe_video(source)[0])
    assert index is not None
    return source, index


def shown_of(source: Source, index: FilmIndex) -> tuple[int, int]:
    """The second keyframe, and when it is shown."""
    place = int(np.flatnonzero(index.picture.keys)[1])
    return next(iter(packet_index.closed_keyframes(source, index, [place]).items()))


def cutter_of(source: Source, index: FilmIndex, other: Path | None = None) -> IndexCutter | None:
    """What cuts the index of a film; of the film in an `other` file, as if that were the same."""
    return IndexCutter.of(replace(source, path=other or source.path), index, shown_of(source, index))


def runs_of(source: Source, index: FilmIndex) -> list[list[tuple[StreamIndex, range]]]:
    """The packets of three pieces, of all streams; of the sound that ends early the last one has none."""
    shown = packet_index.closed_keyframes(source, index, np.flatnonzero(index.picture.keys)[[1, 3]].tolist())
    seconds = [time * index.picture.time_base for time in shown.values()]
    cuts = [[0, *shown, len(index.picture.times)]]
    for stream in index.sound:
        places = [np.searchsorted(stream.times, ceil(time / stream.time_base)) for time in seconds]
        cuts.append([0, *map(int, places), len(stream.times)])
    streams = (index.picture, *index.sound)
    return [
        [(stream, range(*edges)) for stream, edges in zip(streams, piece, strict=True)]
        for piece in zip(*(list(pairwise(cut)) for cut in cuts), strict=True)
    ]


def cut(
    folder: Path, name: str, source: Source, runs: Sequence[tuple[StreamIndex, range]], own: CutIndex | None
) -> tuple[object, bytes]:
    """A piece of a film, and when it is shown."""
    spans = [PacketSpan(stream.stream, int(stream.times[run.start]) if run else 0, len(run)) for stream, run in runs]
    path = folder / name
    return pieces.cut_out(source, spans, path, own), path.read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-bf", "0"),
        ("-movflags", "+faststart"),
        ("-movflags", "+negative_cts_offsets"),
        ("-use_editlist", "0"),
        ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-metadata", "title=film"),
        ("-video_track_timescale", "90000", "-brand", "qt  "),
    ],
    ids=["plain", "no b-frames", "index first", "negative offsets", "no edit list", "tags", "another clock"],
)
def test_a_piece_is_the_same_to_the_byte(tmp_path: Path, options: tuple[str, ...]) -> None:
    source, index = indexed(split_films.write_film(tmp_path / "film.mp4", SECONDS, *options))
    check_pieces(tmp_path, source, index)


def test_pieces_of_a_film_that_is_turned_and_begins_late_are_the_same(film: Path, tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"
    media.run(
        *("-display_rotation", "-90", "-itsoffset", "0.5", "-i", film, "-i", film),
        *("-map", "0:v", "-map", "1:a", "-c", "copy", path),
    )
    check_pieces(tmp_path, *indexed(path))


def check_pieces(folder: Path, source: Source, index: FilmIndex) -> None:
    """Cut pieces by both indexes; by their own out of a file that has nothing but their packets."""
    cutter, data, sizes = cutter_of(source, index), source.path.read_bytes(), []
    assert cutter is not None
    for runs in runs_of(source, index):
        own = CutIndex(folder / "index.mp4", index.start, [stream.bit_rate for stream, _ in runs])
        own.path.write_bytes(cutter.cut([run for _, run in runs]))
        sizes.append(own.path.stat().st_size)
        bare = replace(source, path=folder / "bare.mp4")
        bare.path.write_bytes(split_films.sparse(data, packet_index.ranges_of(replace(index, head=()), runs)))
        assert cut(folder, "own-piece.mp4", bare, runs, own) == cut(folder, "piece.mp4", source, runs, None)
    whole = sum(end - start for start, end in cutter.ranges)
    assert sum(sizes) < whole + len(sizes) * 4096


@pytest.mark.parametrize("kind", [b"stsz", b"ctts", b"stts", b"stsd"])
def test_an_index_that_does_not_tell_of_all_packets_is_left_as_it_is(film: Path, tmp_path: Path, kind: bytes) -> None:
    source, index = indexed(film)
    damaged, data = tmp_path / "damaged.mp4", bytearray(film.read_bytes())
    place = data.index(kind) + (12 if kind == b"stsz" else 8)
    data[place : place + 4] = RENUMBERED
    damaged.write_bytes(data)
    assert cutter_of(source, index) is not None
    assert cutter_of(source, index, damaged) is None


def test_packets_that_lie_in_the_index_are_left_where_they_are(film: Path) -> None:
    source, index = indexed(film)
    moved = replace(index.picture, offsets=index.picture.offsets - int(index.picture.offsets[0]))
    assert IndexCutter.of(source, replace(index, picture=moved), shown_of(source, index)) is None


def test_an_index_with_much_beside_its_tables_is_left_as_it_is(film: Path, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.mp4"
    media.run("-i", film, "-map", "0", "-c", "copy", "-metadata", "comment=" + "much " * 5000, tagged)
    assert cutter_of(*indexed(tagged)) is None


def test_damage_to_an_index_has_it_left_or_cut_and_nothing_else(film: Path, tmp_path: Path) -> None:
    source, index = indexed(film)
    whole, path, chance = film.read_bytes(), tmp_path / "damaged.mp4", random.Random(1)
    begin, shown, cut_count = whole.rindex(b"moov") - 4, shown_of(source, index), 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 2, 8])):
            data[chance.randrange(begin, len(data))] = chance.choice([0, 1, 127, 255])
        path.write_bytes(data)
        cutter = IndexCutter.of(replace(source, path=path), index, shown)
        if cutter is not None:
            assert len(cutter.cut([range(20), range(5), range(0)])) > 0
            cut_count += 1
    assert 0 < cut_count < 300

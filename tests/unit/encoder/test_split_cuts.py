"""How a captioned video is cut, and the ranges that its pieces come with."""

from fractions import Fraction

import numpy as np
import pytest

from encoder.media.packet_index import MAX_RANGES, FilmIndex, StreamIndex, ranges_of
from encoder.operations.caption_split import MAX_PIECE_SECONDS, MAX_PIECES, MIN_PIECE_SECONDS, count_pieces


@pytest.mark.parametrize("workers", [2, 3, 16, 64])
@pytest.mark.parametrize("seconds", [60, 61, 100, 600, 3600, 9000])
def test_all_workers_are_done_at_once_where_pieces_are_long_enough(seconds: float, workers: int) -> None:
    count = count_pieces(seconds, workers)
    assert count % workers == 0 or seconds / (count + 1) < MIN_PIECE_SECONDS
    assert MIN_PIECE_SECONDS <= seconds / count <= MAX_PIECE_SECONDS or seconds < 2 * MAX_PIECE_SECONDS


def test_what_is_short_or_has_one_worker_is_made_as_a_whole() -> None:
    assert [count_pieces(*one) for one in ((59.9, 16), (3600, 1), (3600, 0))] == [1, 1, 1]
    assert count_pieces(1e9, 2) == MAX_PIECES


def film(video_bytes: int, gap_bytes: int, count: int = 400) -> FilmIndex:
    """A file with a packet of sound after each of the picture, and a gap after both."""
    place = 100 + np.arange(count) * (video_bytes + 10 + gap_bytes)
    size, keys = np.full(count, video_bytes), np.ones(count, bool)
    picture = StreamIndex(0, Fraction(1, 25), np.arange(count), place, size, keys)
    sound = StreamIndex(1, Fraction(1, 25), np.arange(count), place + video_bytes, np.full(count, 10), keys)
    end = int(place[-1]) + video_bytes + 10 + gap_bytes
    return FilmIndex(picture, (sound,), Fraction(0), ((0, 50), (end, end + 7)), end + 7)


def test_a_piece_comes_with_its_packets_and_the_index() -> None:
    index = film(10_000, 0)
    found = ranges_of(index, [(index.picture, range(10, 20)), (index.sound[0], range(11, 21))])
    assert found == [
        (0, 50),
        (100 + 10 * 10_010, 100 + 21 * 10_010),
        (index.size_bytes - 7, index.size_bytes),
    ]


def test_a_file_that_is_badly_woven_is_read_in_few_ranges() -> None:
    index = film(100, 1_000_000)
    found = ranges_of(index, [(index.picture, range(100, 300))])
    assert len(found) == MAX_RANGES
    flat = [edge for one in found for edge in one]
    assert flat == sorted(flat)
    packets = np.concatenate([np.arange(start, end) for start, end in found if end - start < 1000])
    assert np.isin(index.picture.offsets[240:300], packets).all()

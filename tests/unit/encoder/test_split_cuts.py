"""How a captioned video is cut, and the ranges that its pieces come with."""

import random
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import pytest

from encoder.media.packet_index import MAX_RANGES, FilmIndex, StreamIndex, ranges_of
from encoder.story.piece_lengths import (
    END_SECONDS,
    FIRST_SECONDS,
    LAST_SECONDS,
    LEAST_LEFT,
    MAX_SECONDS,
    MIN_SECONDS,
    MIN_SHARE_SECONDS,
    piece_seconds,
    watched_seconds,
)

MOST = 500


def end_seconds(lengths: list[float], speeds: list[float], start_seconds: float = 0.0) -> float:
    """When the last piece is made, each by the encoder that is free first, which takes a while to begin."""
    free_at = [0.0] * len(speeds)
    for length in lengths:
        number = min(range(len(speeds)), key=free_at.__getitem__)
        free_at[number] += start_seconds + length / speeds[number]
    return max(free_at)


@pytest.mark.parametrize("workers", [2, 3, 16, 64])
@pytest.mark.parametrize("seconds", [60, 61, 100, 600, 3600, 9000])
def test_encoders_of_any_speed_end_nearly_together(seconds: float, workers: int) -> None:
    lengths = piece_seconds(seconds, workers, MOST, is_watched=False)
    assert sum(lengths) == pytest.approx(seconds)
    if seconds < MIN_SHARE_SECONDS * workers:
        assert len(lengths) == min(workers, seconds // MIN_SECONDS)
        return
    # The long ones first; what is left before the very short ones is put to the last of the others.
    ends = lengths.count(END_SECONDS)
    assert lengths[-ends:] == [END_SECONDS] * ends
    *falling, last = lengths[:-ends]
    assert falling == sorted(falling, reverse=True)
    assert LAST_SECONDS <= min(falling) <= max(falling) <= MAX_SECONDS
    assert last < LEAST_LEFT * falling[-1]
    speeds = [1.0 + number / workers for number in range(workers)]
    assert end_seconds(lengths, speeds) < seconds / sum(speeds) + 1.5 * MIN_SECONDS


@pytest.mark.parametrize(("workers", "most_lost"), [(2, 0.022), (4, 0.024), (16, 0.04), (64, 0.11)])
def test_little_time_is_lost_where_encoders_and_pieces_differ_by_a_fifth(workers: int, most_lost: float) -> None:
    lengths, lost = piece_seconds(3600, workers, MOST, is_watched=False), 0.0
    for seed in range(20):
        chance = random.Random(seed)
        speeds = [2.4 * chance.uniform(0.8, 1.2) for _ in range(workers)]
        worth = [length * chance.uniform(0.8, 1.2) for length in lengths]
        lost += end_seconds(worth, speeds, start_seconds=0.4) / (sum(worth) / sum(speeds)) - 1
    assert lost / 20 < most_lost


def test_a_film_that_is_watched_begins_with_short_pieces_and_none_has_too_many() -> None:
    lengths = piece_seconds(600, 2, MOST, is_watched=True)
    short = watched_seconds(300)
    assert short[:5] == [FIRST_SECONDS, 1.5, 1.75, 2.625, 3.9375]
    assert lengths == [*short, *piece_seconds(600 - sum(short), 2, MOST, is_watched=False)]
    assert [sum(piece_seconds(61, workers, MOST, is_watched=True)) for workers in (1, 2)] == pytest.approx([61, 61])
    # From the first one on, each is there when those before it were seen, where 1.9 seconds are made in one.
    for film in (61, 100, 600):
        ends = accumulate(piece_seconds(film, 1, MOST, is_watched=True))
        assert all((later - FIRST_SECONDS) / 1.9 <= before for before, later in pairwise(ends))
    for is_watched in (False, True):
        assert len(piece_seconds(1e9, 2, MOST, is_watched=is_watched)) <= MOST
    assert sum(piece_seconds(600, 2, 1, is_watched=True)) == pytest.approx(600)


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

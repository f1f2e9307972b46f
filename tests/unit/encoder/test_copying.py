"""What a film takes of which only the frames with captions are encoded."""

import numpy as np
import pytest

from encoder.splice.copying import COPYING, efforts

KEYS = np.arange(0, 100, 10.0)


def taken(spans: list[tuple[float, float]], until: float, end: float = 100.0) -> float:
    places, efforts_there = efforts(spans, KEYS, end)
    assert places[0] == 0
    assert places[-1] == end
    assert (np.diff(places) > 0).all()
    return float(np.interp(until, places, efforts_there))


def test_a_film_without_captions_takes_little_everywhere() -> None:
    assert taken([], 100) == pytest.approx(100 * COPYING)
    assert taken([], 50) == pytest.approx(50 * COPYING)


def test_from_a_caption_on_all_is_encoded_up_to_the_keyframe_behind_it() -> None:
    assert taken([(23, 25)], 23) == pytest.approx(23 * COPYING)
    assert taken([(23, 25)], 30) == pytest.approx(23 * COPYING + 7)
    assert taken([(23, 25)], 100) == pytest.approx(93 * COPYING + 7)
    assert taken([(23, 30)], 100) == pytest.approx(93 * COPYING + 7)


def test_what_several_captions_have_encoded_counts_once_and_the_end_ends_all() -> None:
    assert taken([(23, 25), (26, 27), (29, 33)], 100) == pytest.approx(83 * COPYING + 17)
    assert taken([(95, 97), (120, 130)], 100) == pytest.approx(95 * COPYING + 5)
    assert taken([(95, 200)], 97, 97) == pytest.approx(95 * COPYING + 2)

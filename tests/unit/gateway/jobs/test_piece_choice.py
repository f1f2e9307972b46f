"""Which piece of a film an encoder gets."""

import random
from heapq import heappop, heappush
from math import inf
from types import SimpleNamespace

import pytest

from encoder.story.piece_lengths import piece_seconds, watched_seconds
from gateway.jobs.piece_choice import CAUTION, Slot, is_slower, left_seconds, soonest_done

FALLING = [35.0, 30.0, 25.0, 20.0, 10.0, 5.0, 2.0, 2.0]


def test_one_that_is_as_fast_as_the_others_gets_the_next_piece():
    assert soonest_done(FALLING, Slot(), [Slot(), Slot(3.0), Slot(20.0)]) == 0


def test_one_without_others_gets_the_next_piece():
    assert soonest_done(FALLING, Slot(slowness=8.0), []) == 0


def test_a_slow_one_leaves_a_piece_to_one_that_is_done_with_it_sooner():
    # The other is done with the first after 35 s, and with the two after it after 65 and 90.
    assert soonest_done(FALLING, Slot(slowness=4.0), [Slot()]) == 3
    assert 4.0 * CAUTION * FALLING[3] <= 35 + 30 + 25 + 20 < 4.0 * CAUTION * FALLING[2]


def test_a_slow_one_takes_the_next_piece_where_the_others_are_busy_for_long():
    assert soonest_done(FALLING, Slot(slowness=4.0), [Slot(200.0)]) == 0


def test_one_that_would_be_late_with_all_gets_the_last():
    assert soonest_done(FALLING, Slot(slowness=50.0), [Slot(), Slot()]) == len(FALLING) - 1


def test_the_first_pieces_of_a_watched_film_go_to_fast_ones():
    first = watched_seconds(600.0)
    assert first[:2] == [2.0, 1.5]
    # Two fast ones have these done before a slow one would, and the next two as well.
    assert soonest_done(first, Slot(slowness=4.0), [Slot(), Slot()]) >= 4


@pytest.mark.parametrize(
    ("begun_at", "share", "expected", "left"),
    [
        (0.0, 0.0, 20.0, 20.0),  # it has not begun
        (95.0, 0.0, 20.0, 15.0),
        (99.0, 0.5, 20.0, 19.0),  # nothing is told yet by how far it has come
        (80.0, 0.5, 25.0, 20.0),
        (80.0, 0.0, 10.0, inf),
        (95.0, 0.0, None, inf),
    ],
)
def test_what_is_left_of_an_attempt(begun_at: float, share: float, expected: float | None, left: float):
    attempt = SimpleNamespace(begun_at=begun_at, share=share)
    assert left_seconds(attempt, expected, 100.0) == pytest.approx(left)


def played(slowness: list[float], pieces: list[float], *, is_chosen: bool) -> float:
    """Return when the last piece is done that encoders get in turn, each the next or the one that is chosen for it."""
    now, waiting, busy = 0.0, list(pieces), list[tuple[float, int]]()
    idle = sorted(range(len(slowness)), key=lambda number: slowness[number])
    while waiting or busy:
        while idle and waiting:
            own = idle.pop(0)
            others = [Slot(0.0, slowness[one]) for one in idle] + [Slot(end - now, slowness[one]) for end, one in busy]
            number = soonest_done(waiting, Slot(0.0, slowness[own]), others) if is_chosen else 0
            heappush(busy, (now + waiting.pop(number) * slowness[own], own))
        now, one = heappop(busy)
        idle.append(one)
    return now


@pytest.mark.parametrize("encoders", [4, 16, 64])
def test_all_encoders_of_mixed_speeds_end_together(encoders: int):
    chance = random.Random(encoders)
    slowness = [chance.uniform(0.9, 1.1) * (4.0 if number % 3 == 0 else 1.0) for number in range(encoders)]
    pieces = piece_seconds(56.0 * encoders, encoders, 500, is_watched=False)
    ideal = sum(pieces) / sum(1 / one for one in slowness)
    chosen, in_turn = (played(slowness, pieces, is_chosen=is_chosen) for is_chosen in (True, False))
    assert chosen < 1.12 * ideal
    assert chosen < 0.92 * in_turn


def test_those_that_differ_little_get_the_next_piece():
    assert not is_slower(Slot(slowness=1.25), Slot(slowness=0.8))
    assert is_slower(Slot(slowness=1.7), Slot(slowness=0.8))

"""How fast encoders are beside each other, by pieces of films that they made."""

import pytest

from gateway.workers.encoder_speeds import MAX_FILMS, MAX_SLOWNESS, EncoderSpeeds

FAST = ("a", "b", "c")


def seen(film: str, paces: dict[str, float], speeds: EncoderSpeeds | None = None) -> EncoderSpeeds:
    """Speeds after a film of which each encoder made two pieces, with so many seconds a frame."""
    speeds = speeds or EncoderSpeeds()
    for _ in range(2):
        for encoder, pace in paces.items():
            speeds.note(encoder, film, 100, 100 * pace)
    return speeds


def test_nothing_is_known_before_a_piece_was_made():
    speeds = EncoderSpeeds()
    assert (speeds.slowness("a"), speeds.pace("film")) == (1.0, None)


def test_an_encoder_is_as_slow_as_it_is_beside_most():
    speeds = seen("film", dict.fromkeys(FAST, 0.02) | {"slow": 0.08})
    assert speeds.pace("film") == pytest.approx(0.02)
    assert [speeds.slowness(name) for name in ("a", "slow")] == pytest.approx([1, 4])


def test_films_are_not_compared_with_each_other():
    speeds = seen("small", dict.fromkeys(FAST, 0.02))
    seen("large", dict.fromkeys(("c", "d", "e"), 0.2), speeds)
    assert [speeds.slowness(name) for name in "abcde"] == pytest.approx([1] * 5)


def test_a_film_that_slow_encoders_made_alone_does_not_make_them_fast():
    speeds = seen("film", dict.fromkeys(FAST, 0.02) | {"slow": 0.08, "slower": 0.16})
    seen("other", {"slow": 0.04, "slower": 0.08}, speeds)
    assert [speeds.slowness(name) for name in ("slow", "slower")] == pytest.approx([4, 8])
    assert speeds.pace("other") == pytest.approx(0.01)


def test_one_that_was_not_seen_yet_counts_as_the_slowest():
    assert seen("film", dict.fromkeys(FAST, 0.02) | {"slow": 0.08}).slowness("new") == pytest.approx(4)


def test_one_that_hangs_is_no_slower_than_anything():
    speeds = seen("film", dict.fromkeys(FAST, 0.02))
    speeds.note("hung", "film", 0, 60)
    assert speeds.slowness("hung") == MAX_SLOWNESS


def test_what_an_encoder_does_later_counts_for_more():
    speeds = seen("film", dict.fromkeys(FAST, 0.02) | {"card": 0.08})
    for _ in range(20):
        speeds.note("card", "film", 100, 2)
    assert speeds.slowness("card") == pytest.approx(1, abs=0.05)


def test_those_that_are_gone_and_old_films_are_forgotten():
    speeds = seen("film", dict.fromkeys(FAST, 0.02) | {"slow": 0.08})
    speeds.forget("slow")
    assert speeds.slowness("slow") == pytest.approx(1)
    for number in range(MAX_FILMS):
        speeds.note("a", f"film {number}", 100, 2)
    assert speeds.pace("film") is None


def test_what_was_told_holds_until_an_encoder_is_seen_and_bears_on_what_is_seen_of_others():
    speeds = EncoderSpeeds(told={"slow": 4.0, "a": 1.0}.get)
    assert [speeds.slowness(name) for name in ("slow", "a", "new")] == [4.0, 1.0, 1.0]
    # Alone at a film it is no measure of it.
    seen("film", {"slow": 0.08}, speeds)
    assert (speeds.pace("film"), speeds.slowness("slow")) == pytest.approx((0.02, 4.0))
    seen("other", dict.fromkeys((*FAST, "slow"), 0.02), speeds)
    assert speeds.slowness("slow") < 4


def test_one_that_made_nothing_yet_was_not_seen_and_is_told_nobody():
    speeds = seen("film", dict.fromkeys(FAST, 0.02) | {"slow": 0.08})
    speeds.note("new", "other", 0, 1)
    assert speeds.seen("new") is None
    assert speeds.seen("slow") == speeds.slowness("slow") == speeds.slowness("new")

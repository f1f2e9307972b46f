"""What a drawing of captions from the middle of a film on must look back to."""

from fractions import Fraction
from random import Random

from encoder.captions.collisions import MAX_FRAMES, collision_spans, frames_before, is_within
from tests.support.growth import assert_grows_gently

FILM = Fraction(24)
HEAD = "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"


def clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02}:{seconds % 60:05.2f}"


def script(*spans: tuple[float, float], text: str = "words", layer: int = 0) -> str:
    lines = (f"Dialogue: {layer},{clock(start)},{clock(end)},Default,,0,0,0,,{text}" for start, end in spans)
    return HEAD + "\n".join(lines)


def test_captions_that_follow_each_other_need_nothing() -> None:
    assert frames_before(script((0, 2), (2, 4), (5, 8)), 72, FILM) == []
    assert frames_before(script((0, 4)), 72, FILM) == []


def test_what_was_shown_together_since_nothing_was_is_drawn_at_each_change() -> None:
    stacked = script((0, 0.5), (1, 2), (1.5, 3.5), (2.5, 6))
    assert frames_before(stacked, 72, FILM) == [24, 36, 48, 60]
    assert frames_before(stacked, 144, FILM) == []
    assert frames_before(stacked, 36, FILM) == []


def test_layers_and_captions_with_a_place_of_their_own_do_not_meet() -> None:
    assert frames_before(script((1, 4)) + "\n" + script((1, 4), layer=1).splitlines()[-1], 72, FILM) == []
    assert frames_before(script((1, 4), (2, 5), text=r"{\pos(1,2)}words"), 72, FILM) == []


def test_frames_are_those_in_which_a_change_is_first_seen() -> None:
    assert frames_before(script((1.01, 4), (1.05, 4)), 72, FILM) == [25, 26]


def test_a_film_of_nothing_but_overlaps_is_looked_back_to_a_bound_and_in_step() -> None:
    def made(count: int) -> str:
        return script(*((number / 2, number / 2 + 1) for number in range(count)))

    assert len(frames_before(made(2000), 24 * 990, FILM)) == MAX_FRAMES
    assert_grows_gently(made, lambda text: frames_before(text, 24 * 100, FILM), 500)


def test_the_times_in_which_a_drawing_looks_back_are_known_without_a_look_at_each() -> None:
    random = Random(3)
    for _ in range(20):
        starts = [random.randrange(200) / 10 for _ in range(12)]
        made = script(*((start, start + random.randrange(1, 30) / 10) for start in starts))
        spans = collision_spans(made)
        found = [(is_within(spans, int(n * 1000 / FILM)), bool(frames_before(made, n, FILM))) for n in range(600)]
        assert (False, True) not in found
        # Captions that come within one frame have nothing before it.
        assert found.count((True, False)) <= 12


def test_times_of_overlaps_are_found_in_step_with_the_captions() -> None:
    assert_grows_gently(lambda count: script(*((n, n + 1.5) for n in range(count))), collision_spans, 2000)

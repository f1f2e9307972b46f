"""The timeline of stories: lengths to the frame, joints that do not drift, faults that name the scene."""

from fractions import Fraction
from itertools import pairwise
from random import Random

import pytest

from encoder.story import pieces
from encoder.story.pieces import ScenePiece
from encoder.story.timeline import SceneLength, Timeline, find_faults, lay_out

NTSC = Fraction(30000, 1001)


def film(*seconds: float, transitions: list[float] | None = None, rate: Fraction = Fraction(24)) -> Timeline:
    """Scenes of these lengths."""
    lengths = [SceneLength(Fraction(str(each))) for each in seconds]
    between = [Fraction(str(each)) for each in transitions or [0] * (len(seconds) - 1)]
    assert not list(find_faults(lengths, between, rate))
    return lay_out(lengths, between, rate)


def test_cuts_stand_at_the_sum_of_the_lengths() -> None:
    made = film(5, 3, 2.5)
    assert [(place.begin, place.end) for place in made.places] == [(0, 120), (120, 192), (192, 252)]
    assert [(place.start, place.stop) for place in made.places] == [(0, 120), (120, 192), (192, 252)]
    assert (made.frames, made.seconds) == (252, Fraction(21, 2))
    assert list(made.pieces()) == [(0, 120), (120, 72), (192, 60)]


def test_a_transition_overlaps_two_scenes_by_its_seconds() -> None:
    made = film(5, 5, transitions=[1])
    assert made.seconds == 9
    assert [(place.begin, place.end) for place in made.places] == [(0, 120), (96, 216)]
    # The middle of it is where the one stops and the other starts.
    assert [(place.start, place.stop) for place in made.places] == [(0, 108), (108, 216)]
    assert [made.transition_frames(scene) for scene in (0, 1)] == [24, 0]
    assert list(made.pieces()) == [(0, 120), (120, 96)]


def test_what_is_said_meanwhile_lasts_from_middle_to_middle() -> None:
    lengths = [SceneLength(Fraction(4), True), SceneLength(Fraction(3), True), SceneLength(Fraction(2), True)]
    made = lay_out(lengths, [Fraction(1), Fraction(1, 2)], Fraction(24))
    assert [place.start for place in made.places] == [0, 4 * 24, 7 * 24]
    assert made.seconds == 9


@pytest.mark.parametrize("rate", [Fraction(24), NTSC, Fraction(60), Fraction(25, 2)])
def test_no_rounding_adds_up_over_many_scenes(rate: Fraction) -> None:
    random = Random(7)
    seconds = [round(random.uniform(1, 4), 3) for _ in range(500)]
    between = [random.choice([0, 0.1, 0.3, 0.4]) for _ in range(499)]
    made = film(*seconds, transitions=between, rate=rate)
    exact = Fraction(0)
    for place, length, after in zip(made.places, seconds, [*between, 0], strict=True):
        assert abs(place.begin - exact * rate) <= Fraction(1, 2)
        exact += Fraction(str(length)) - Fraction(str(after))
    assert made.frames == round(exact * rate)


def test_pieces_make_up_the_film_and_hold_no_third_scene() -> None:
    made = film(1, 0.5, 0.5, 2, transitions=[0.25, 0.25, 0.25], rate=NTSC)
    pieces = list(made.pieces())
    assert sum(frames for _, frames in pieces) == made.frames
    for number, (first, frames) in enumerate(pieces):
        assert first >= made.places[number].begin
        assert first + frames <= made.places[number].end
        if number + 2 < len(pieces):
            assert first + frames <= made.places[number + 2].begin
    assert all(one.stop == other.start for one, other in pairwise(made.places))


def test_a_transition_takes_half_of_a_scene_at_most() -> None:
    lengths = [SceneLength(Fraction(2)), SceneLength(Fraction(1)), SceneLength(Fraction(2))]
    assert not list(find_faults(lengths, [Fraction(1, 2)] * 2, Fraction(24)))
    faults = list(find_faults(lengths, [Fraction(1, 4), Fraction(3, 4)], Fraction(24)))
    assert [(fault.scene, fault.field) for fault in faults] == [(1, "transition")]
    assert faults[0].text.startswith("it takes 0.75 s, more than half of scenes[1], which lasts 1 s")


def test_a_scene_of_no_frame_is_named() -> None:
    faults = list(find_faults([SceneLength(Fraction(5)), SceneLength(Fraction(1, 10))], [Fraction(0)], Fraction(1)))
    assert [(fault.scene, fault.field) for fault in faults] == [(1, "")]
    assert "no frame is seen at 1 frames a second" in faults[0].text


def test_a_transition_of_no_frame_is_named() -> None:
    lengths = [SceneLength(Fraction(4)), SceneLength(Fraction(4))]
    faults = list(find_faults(lengths, [Fraction(1, 10)], Fraction(1)))
    assert [(fault.scene, fault.field) for fault in faults] == [(0, "transition")]
    assert faults[0].text == "it takes 0.1 s, less than a frame at 1 frames a second; make it longer."


def shares(made: Timeline, cut: list[ScenePiece], scene: int) -> list[float]:
    """The seconds of the pieces of a scene."""
    return [float(piece.frames / made.rate) for piece in cut if piece.scene == scene]


def test_a_long_still_is_cut_for_several_encoders_and_a_video_is_not() -> None:
    made = film(100, 60, 60, 9, transitions=[2, 0, 0])
    cut = pieces.cut(made, [True, True, False, True], 2, is_watched=False)
    assert [len(shares(made, cut, scene)) for scene in range(4)] == [2, 2, 1, 1]
    assert [piece.first for piece in cut[1:]] == [piece.first + piece.frames for piece in cut[:-1]]
    assert sum(piece.frames for piece in cut) == made.frames
    assert [(piece.number, piece.is_last) for piece in cut[:2]] == [(0, False), (1, True)]
    alone = pieces.cut(made, [True] * 4, 1, is_watched=False)
    assert [(piece.first, piece.frames) for piece in alone] == list(made.pieces())


def test_a_film_has_no_more_pieces_than_its_plan_may_have() -> None:
    made = film(*[600] * 20)
    stills = [True] * 20
    assert len(pieces.cut(made, stills, 64, is_watched=False)) > 250
    for most in (250, 100, 20):
        cut = pieces.cut_at_most(made, stills, 64, is_watched=False, most=most)
        assert 20 <= len(cut) <= most
        assert sum(piece.frames for piece in cut) == made.frames


def test_a_film_that_is_watched_begins_with_short_pieces() -> None:
    made = film(12, 5, transitions=[5 / 2])
    assert shares(made, pieces.cut(made, [True, True], 1, is_watched=True), 0) == [2, 1.5, 1.75, 2.625, 4.125]
    assert shares(made, pieces.cut(made, [False, True], 1, is_watched=True), 0) == [2, 10]
    later = film(6, 20, transitions=[0])
    assert shares(later, pieces.cut(later, [True, True], 1, is_watched=True), 1) == [3, 4.5, 6.75, 5.75]
    usual = film(5, 5, 5, transitions=[0.5, 0.5])
    cut = pieces.cut(usual, [True] * 3, 1, is_watched=True)
    assert [shares(usual, cut, scene) for scene in range(3)] == [[2, 1.5, 1.5], [2.5, 2], [4.5]]
    short = film(2.5, 5, transitions=[1])
    assert shares(short, pieces.cut(short, [True, True], 1, is_watched=True), 0) == [2.5]


def grouped(made: Timeline, workers: int, stills: list[bool] | None = None) -> list[list[int]]:
    """The scenes of each piece."""
    given = stills or [True] * len(made.places)
    found = pieces.group(made, pieces.cut(made, given, 1, is_watched=False), given, workers)
    assert [piece.first for piece in found[1:]] == [piece.first + piece.frames_total for piece in found[:-1]]
    assert sum(piece.frames_total for piece in found) == made.frames
    return [[shot.scene for shot in piece.shots] for piece in found]


def test_stills_that_lead_into_each_other_are_shared_out_among_those_who_work_side_by_side() -> None:
    made = film(*[5] * 10, transitions=[0.5] * 9)
    assert grouped(made, 1) == [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9]]
    assert grouped(made, 2) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert grouped(made, 3) == [[0, 1, 2], [3, 4, 5, 6], [7, 8, 9]]
    assert grouped(made, 16) == [[number] for number in range(10)]


def test_pieces_of_a_long_film_grow_shorter_to_its_end() -> None:
    made = film(*[5] * 60, transitions=[1] * 59)
    sizes = [len(scenes) for scenes in grouped(made, 2)]
    assert max(sizes) == pieces.MAX_STILLS - 1
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 3


def test_cuts_and_videos_end_a_piece() -> None:
    made = film(*[5] * 6, transitions=[0.5, 0, 0.5, 0.5, 0.5])
    assert grouped(made, 1) == [[0, 1], [2, 3, 4, 5]]
    assert grouped(made, 1, [True, True, True, True, False, True]) == [[0, 1], [2, 3], [4], [5]]

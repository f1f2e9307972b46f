"""The camera: which window each frame shows."""

from itertools import pairwise

import pytest

from apigpu.v1.motion_pb2 import Motion
from encoder.kenburns.sampling import PANS, complete_motion, is_still, window
from encoder.media.info import Size


def test_without_a_motion_it_zooms_in_about_the_center() -> None:
    motion = complete_motion(Motion())
    for number in (0, 1, 60, 119):
        shown = window(motion, number, 120)
        assert shown.zoom == pytest.approx(min(1 + 0.324 * number / 120, 1.324))
        assert (shown.x, shown.y) == (0.5, 0.5)


def test_zoom_out_is_the_way_back() -> None:
    there, back = complete_motion(Motion(end_zoom=2)), complete_motion(Motion(end_zoom=2, zoom_out=True))
    for number in range(11):
        assert window(back, number, 10).zoom == pytest.approx(window(there, 10 - number, 10).zoom)


def test_a_focus_stays_in_its_place() -> None:
    motion = complete_motion(Motion(focus_x=0.2, focus_y=0.9, end_zoom=3))
    for number in range(10):
        shown = window(motion, number, 10)
        # The focus, in parts of the window.
        assert (0.2 - shown.x * (1 - 1 / shown.zoom)) * shown.zoom == pytest.approx(0.2)
        assert (0.9 - shown.y * (1 - 1 / shown.zoom)) * shown.zoom == pytest.approx(0.9)


@pytest.mark.parametrize("pan", [value for value in Motion.Pan.values() if value])
def test_a_pan_crosses_the_room(pan: int) -> None:
    motion = complete_motion(Motion(pan=pan, start_zoom=2, end_zoom=2, focus_x=0.3, focus_y=0.3))  # type: ignore[arg-type]
    first, last = window(motion, 0, 100), window(motion, 100, 100)
    for sign, start, end in zip(PANS[pan], (first.x, first.y), (last.x, last.y), strict=True):
        assert (start, end) == {0: (0.3, 0.3), 1: (0, 1), -1: (1, 0)}[sign]
    name = Motion.Pan.Name(pan)  # type: ignore[arg-type]
    assert ("RIGHT" in name) - ("LEFT" in name) == PANS[pan][0]
    assert ("DOWN" in name) - ("UP" in name) == PANS[pan][1]


def test_easing_is_slow_at_both_ends() -> None:
    motion = complete_motion(Motion(easing=Motion.EASING_IN_OUT, end_zoom=2))
    zooms = [window(motion, number, 100).zoom for number in range(101)]
    steps = [b - a for a, b in pairwise(zooms)]
    assert zooms[0] == 1
    assert zooms[50] == pytest.approx(1.5)
    assert zooms[100] == pytest.approx(2)
    assert max(steps[0], steps[-1]) < 0.1 * max(steps)
    assert min(steps) > 0


def test_only_what_does_not_move_is_still() -> None:
    assert is_still(complete_motion(Motion(start_zoom=1.5, end_zoom=1.5)))
    assert not is_still(complete_motion(Motion(start_zoom=1.5, end_zoom=1.5, pan=Motion.PAN_LEFT)))
    assert not is_still(complete_motion(Motion()))


def test_sizes_stay_even() -> None:
    assert Size(1080, 1920).scaled(1.15) == Size(1242, 2208)
    assert Size(64, 36).scaled(1.324) == Size(84, 48)

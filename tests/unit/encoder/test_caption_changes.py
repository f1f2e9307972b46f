"""When captions change, read from finished scripts, and which pictures are repeated for it."""

import itertools

import pytest

from encoder.captions.changes import read_changes, repeated_times
from tests.support.growth import assert_grows_gently

HEAD = "[Events]\nFormat: Layer, Start, End, Style, Text\n"


def script(*events: tuple[str, str, str]) -> str:
    return HEAD + "\n".join(f"Dialogue: 0,{start},{end},Default,{text}" for start, end, text in events)


def test_starts_and_ends_are_found_wherever_the_script_has_them() -> None:
    usual = "Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,One, two\nComment: 0,0:00:07.00,0:00:08.00,,,,,,,No"
    turned = "[Events]\nFormat: End, Start, Text\nDialogue: 1:00:02.5,1:00:01.0,Three"
    assert read_changes(usual).times == (1000, 2500)
    assert read_changes(turned).times == (3601000, 3602500)
    assert read_changes(script(("0:00:02.00", "0:00:01.00", "backwards"), ("x", "y", "broken"))).times == ()


def test_pictures_that_stand_for_long_are_repeated_and_no_others() -> None:
    found = read_changes(script(("0:00:01.00", "0:00:02.50", "A"), ("0:00:05.00", "0:00:06.00", "B")))
    assert list(repeated_times(found, [0, 4, 8], 9, 0.1)) == [1000, 2500, 5000, 6000]
    assert list(repeated_times(found, [0, 1.001, 5.999], 9, 0.1)) == [2500, 5000]  # with a picture that is there anyway
    assert list(repeated_times(found, [n / 25 for n in range(250)], 10, 0.1)) == []
    assert list(repeated_times(found, [0, 0.99], 1, 0.1)) == []  # nothing behind the end
    assert list(repeated_times(found, [], 0, 0.1)) == []


@pytest.mark.parametrize("mark", [r"{\fad(200,200)}", r"{\move(1,1,9,9)}", r"{\t(\fs9)}", r"{\k20}", "Banner;9"])
def test_captions_that_change_while_they_stand_are_drawn_often(mark: str) -> None:
    found = read_changes(script(("0:00:01.00", "0:00:02.00", f"{mark}A")))
    times = list(repeated_times(found, [0], 5, 0.1))
    assert times[0] == 1000
    assert times[-1] == 2000
    assert max(b - a for a, b in itertools.pairwise(times)) <= 40
    late = list(repeated_times(found, [0, 1.5], 5, 0.1))
    assert {time for time in late if time > 1502} == {time for time in times if time > 1502}


def lively(count: int) -> str:
    return script(*((f"0:{n // 60 % 60:02}:{n % 60:02}.00", "9:59:59.00", r"{\fad(1,1)}A") for n in range(count)))


def test_reading_grows_with_the_captions() -> None:
    assert_grows_gently(lively, read_changes, 1000)


def test_repeating_grows_with_what_is_shown() -> None:
    found = read_changes(lively(500))
    shown = lambda count: [n / 5 for n in range(count)]  # noqa: E731
    assert_grows_gently(shown, lambda times: list(repeated_times(found, times, times[-1], 0.1)), 1000)

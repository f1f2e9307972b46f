"""Levels and tiers: told to the driver where the rate of the level that it would choose is not enough, and nowhere
else."""

from fractions import Fraction
from itertools import pairwise

import pytest

from encoder.codecs.nvenc.levels import LEVELS, USABLE, LevelChoice, lift, needed_kbits
from encoder.codecs.nvenc.request import MAX_CQ, Parameters
from tools.gpu_check.media import CAPS

SIZES = {"360p30": (640, 360, 30), "720p30": (1280, 720, 30), "1080p30": (1920, 1080, 30), "1080p60": (1920, 1080, 60),
         "4K30": (3840, 2160, 30), "4K60": (3840, 2160, 60)}  # fmt: skip


def lifted(form: str, name: str, quality: int) -> str:
    """The level and tier told, as people write them; "" for none."""
    width, height, rate = SIZES[name]
    choice = lift(form, width, height, Fraction(rate), quality)
    assert lift(form, height, width, Fraction(rate), quality) == choice
    return f"{choice.level} {('main', 'high')[choice.tier]}" if choice else ""


@pytest.mark.parametrize(
    ("form", "name", "quality", "expected"),
    [
        ("hevc", "1080p60", 18, "4.1 high"),
        ("hevc", "1080p30", 18, "4 high"),
        ("hevc", "720p30", 18, "4 main"),  # the next level is enough
        ("hevc", "4K30", 18, "5 high"),
        ("hevc", "4K60", 18, "5.1 high"),
        ("hevc", "1080p60", 15, "5 high"),
        ("av1", "1080p60", 18, "4.1 high"),
        ("av1", "4K30", 18, "5 high"),
        ("h264", "1080p30", 15, "4.1 main"),
        ("h264", "1080p60", 12, "5 main"),
        ("hevc", "360p30", 18, "3 main"),  # below level 4 there is no high tier
    ],
)
def test_what_is_told_where_the_rate_is_not_enough(form: str, name: str, quality: int, expected: str) -> None:
    assert lifted(form, name, quality) == expected


@pytest.mark.parametrize("form", LEVELS)
@pytest.mark.parametrize("name", ["360p30", "720p30", "1080p30", "1080p60", "4K30"])
def test_nothing_is_told_at_the_quality_that_is_the_default(form: str, name: str) -> None:
    assert lifted(form, name, 23) == ""
    words = Parameters(form).words(*SIZES[name][:2], Fraction(SIZES[name][2]), 0)
    assert not {"level", "tier"} & words.keys()


@pytest.mark.parametrize("form", LEVELS)
def test_what_is_told_has_room_for_what_is_needed_or_is_the_most_that_there_is(form: str) -> None:
    by_name = {level.name: level for level in LEVELS[form]}
    for width, height, rate in SIZES.values():
        for quality in range(1, MAX_CQ[form] + 1):
            choice = lift(form, width, height, Fraction(rate), quality)
            if choice is None:
                continue
            level = by_name[choice.level]
            kbits = (level.main_kbits, level.high_kbits)[choice.tier]
            assert kbits > 0
            assert width * height <= level.samples
            assert width * height * rate <= level.samples_per_second
            most = 300_000 if form == "h264" else max(other.high_kbits for other in LEVELS[form])
            assert kbits == most or kbits * USABLE >= needed_kbits(form, width * height, Fraction(rate), quality)


def test_pictures_that_no_level_takes_are_left_to_the_driver() -> None:
    assert lift("h264", 4096, 4096, Fraction(60), 1) is None
    assert lift("hevc", 1920, 1080, Fraction(10_000), 1) is None


def test_no_level_above_the_highest_is_asked_for() -> None:
    size = 320, 180, Fraction(25)
    assert lift("h264", *size, 10) == LevelChoice("3", 0)
    assert lift("h264", *size, 10, "2") == LevelChoice("2", 0)
    assert lift("h264", *size, 10, "1") is None  # which does not take them
    large = 1920, 1080, Fraction(30)
    assert lift("hevc", *large, 14) == lift("hevc", *large, 14, "4.1", 1) == LevelChoice("4.1", 1)
    assert lift("hevc", *large, 14, "4.1") == LevelChoice("4.1", 0)
    assert lift("hevc", *large, 14, "4") == LevelChoice("4", 0)


def test_a_long_side_takes_a_higher_level() -> None:
    # 5120×64 has the samples of level 2.1, whose sides end at 1402.
    assert lift("hevc", 5120, 64, Fraction(60), 12) == LevelChoice("5", 1)


@pytest.mark.parametrize("form", LEVELS)
def test_levels_rise(form: str) -> None:
    for low, high in pairwise(LEVELS[form]):
        for name in ("samples", "samples_per_second", "main_kbits", "high_kbits"):
            assert getattr(low, name) <= getattr(high, name)


def test_the_check_of_a_card_has_the_same_levels_by_their_numbers() -> None:
    assert (CAPS["h264"][41], CAPS["hevc"][123], CAPS["av1"][9]) == ((62500, 62500), (20000, 50000), (20000, 50000))
    assert {form: len(caps) for form, caps in CAPS.items()} == {form: len(levels) for form, levels in LEVELS.items()}

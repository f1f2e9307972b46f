"""Captions that are hard to read are told, with number and figure."""

from fractions import Fraction

import pytest

from apigpu.v1 import caption_style_pb2
from encoder.captions import readability
from encoder.captions.formats import Cue

STANDARD, CHILDREN = caption_style_pb2.READABILITY_STANDARD, caption_style_pb2.READABILITY_CHILDREN
EASY = Cue(0, 2000, "Easy to read")
CASES: dict[str, tuple[list[Cue], int, list[tuple[str, str, str]]]] = {
    "easy": ([EASY, Cue(2100, 4000, "and this")], STANDARD, []),
    "off": ([Cue(0, 100, "x" * 99)], caption_style_pb2.READABILITY_OFF, []),
    "42 letters": ([EASY, Cue(3000, 6000, f"<i>{'x' * 42}</i>")], STANDARD, []),
    "43 letters": ([EASY, Cue(3000, 6000, "x" * 43)], STANDARD, [("LINE_LONG", "2", "43")]),
    "wide letters": ([Cue(0, 9000, "一" * 22)], STANDARD, [("LINE_LONG", "1", "44")]),
    "17 a second": ([Cue(0, 2000, "x" * 34)], STANDARD, []),
    "18 a second": ([Cue(0, 2000, "x" * 36)], STANDARD, [("READ_FAST", "1", "18.0")]),
    "for children": ([Cue(0, 2000, "x" * 28)], CHILDREN, [("READ_FAST", "1", "14.0")]),
    "brief": ([Cue(0, 800, "Hi")], STANDARD, [("SHOWN_BRIEFLY", "1", "0.8")]),
    "not brief": ([Cue(0, 833, "Hi")], STANDARD, []),
    "a gap": ([Cue(2040, 4000, "b"), Cue(0, 2000, "a")], STANDARD, [("GAP_SHORT", "2", "1.0")]),
    "no gap": ([EASY, Cue(2000, 4000, "b")], STANDARD, [("GAP_SHORT", "1", "0.0")]),
    "at once": ([EASY, Cue(1000, 4000, "b")], STANDARD, []),
    "two frames": ([EASY, Cue(2080, 4000, "b")], STANDARD, []),
    "three lines": ([Cue(0, 2000, "a\nb\nc")], STANDARD, [("LINES_MANY", "1", "3")]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_hard_to_read_is_told(name: str) -> None:
    cues, level, expected = CASES[name]
    found = readability.warnings_of(cues, level, Fraction(25))
    assert [(each.reason, each.metadata["cue"], each.metadata["figure"]) for each in found] == expected
    assert all(each.metadata["limit"] in each.message for each in found)


def test_captions_that_are_cut_here_may_follow_each_other_at_once() -> None:
    cues = [EASY, Cue(2000, 4000, "b"), Cue(4040, 6000, "c")]
    (found,) = readability.warnings_of(cues, STANDARD, Fraction(25), are_cut=True)
    assert (found.reason, found.metadata["cue"]) == ("GAP_SHORT", "2")


def test_warnings_are_bounded() -> None:
    cues = [Cue(at, at + 10, "x" * 99) for at in range(0, 10_000, 100)]
    assert len(readability.warnings_of(cues, STANDARD, Fraction(25))) == readability.MAX_WARNINGS

"""Captions that overlap: the older above, the same text once, in linear time."""

import operator
from collections.abc import Callable

import pytest

from encoder.captions import ass, cue_warnings, styles
from encoder.captions.formats import Cue, Place
from encoder.captions.formats.cue import SubtitleError
from encoder.captions.karaoke import Word
from encoder.captions.stacking import MAX_STACKED, Event, stack
from tests.support.growth import assert_grows_gently


def stacked(*events: tuple[int, int, str]) -> list[tuple[int, int, str]]:
    ranked = [Event(start, end, rank, text) for rank, (start, end, text) in enumerate(events)]
    return [(event.start_ms, event.end_ms, event.text) for event in stack(ranked)]


def dialogues(script: str) -> list[str]:
    return [line.split(",", 1)[1] for line in script.splitlines() if line.startswith("Dialogue:")]


def test_the_older_stands_above() -> None:
    assert stacked((0, 4000, "A"), (2000, 5000, "B"), (4500, 6000, "C")) == [
        (0, 2000, "A"),
        (2000, 4000, r"A\NB"),
        (4000, 4500, "B"),
        (4500, 5000, r"B\NC"),
        (5000, 6000, "C"),
    ]


def test_the_same_text_is_shown_once() -> None:
    assert stacked((0, 3000, "A"), (1000, 4000, "B"), (1000, 4000, "B")) == [
        (0, 1000, "A"),
        (1000, 3000, r"A\NB"),
        (3000, 4000, "B"),
    ]
    assert stacked((0, 2000, "A"), (1000, 3000, "A")) == [(0, 3000, "A")]


def test_what_does_not_overlap_stays_as_it_is() -> None:
    events = [(0, 1000, "A"), (1000, 2000, "A"), (2500, 2510, "B"), (2510, 3000, r"{\i1}C")]
    assert stacked(*reversed(events)) == [(0, 2000, "A"), *events[2:]]


def test_a_brief_overlap_of_rounded_times_is_none() -> None:
    assert stacked((0, 1080, "A"), (1000, 2000, "B")) == [(0, 1000, "A"), (1000, 2000, "B")]
    assert stacked((0, 1120, "A"), (1000, 2000, "B"))[1] == (1000, 1120, r"A\NB")
    assert stacked((0, 50, "A"), (0, 50, "B")) == [(0, 50, r"A\NB")]


def test_commands_end_with_their_text() -> None:
    assert stacked((0, 2000, r"{\i1}A"), (1000, 2000, "B"))[1] == (1000, 2000, r"{\i1}A\N{\r}B")


def test_the_newest_are_shown_of_too_many() -> None:
    events = [(number, 10_000, str(number)) for number in range(MAX_STACKED + 2)]
    assert stacked(*events)[-1][2] == r"\N".join(str(number) for number in range(2, MAX_STACKED + 2))
    cues = [Cue(start, end, text, name=f"caption {text}") for start, end, text in events]
    (warning,) = cue_warnings.crowd_warnings(cues)
    assert (warning.reason, dict(warning.metadata)) == ("CUES_CROWDED", {"count": "2", "cues": "caption 0; caption 1"})
    assert not cue_warnings.crowd_warnings(cues[2:])
    assert not cue_warnings.crowd_warnings([Cue(number * 10, number * 10 + 80, "x") for number in range(50)])


def test_places_are_stacked_each_for_itself() -> None:
    top = Place(row=2)
    cues = [Cue(0, 2000, "A"), Cue(0, 2000, "T", place=top), Cue(1000, 2000, "B"), Cue(1000, 2000, "U", place=top)]
    assert dialogues(ass.write_script(map(ass.PlacedCue, cues), 320, 180)) == [
        r"0:00:00.00,0:00:01.00,Default,,0,0,0,,A",
        r"0:00:01.00,0:00:02.00,Default,,0,0,0,,A\NB",
        r"0:00:00.00,0:00:01.00,Default,,0,0,0,,{\an8}T",
        r"0:00:01.00,0:00:02.00,Default,,0,0,0,,{\an8}T\NU",
    ]


def test_words_light_up_in_stacked_captions() -> None:
    style = styles.complete_style(styles.Style(highlight_color="#00FF00"))
    cues = [Cue(0, 2000, "one"), Cue(1000, 3000, "two")]
    words = [[Word(0, 3, 0, 2000)], [Word(0, 3, 1500, 2500)]]
    lit, unlit = r"{\1c&H00FF00&}", r"{\1c&HFFFFFF&}"
    shown = [
        line.split(",,0,0,0,,")[1]
        for line in dialogues(ass.write_script(map(ass.PlacedCue, cues, words), 320, 180, style))
    ]
    one, two = f"{lit}one{unlit}", f"{lit}two{unlit}"
    assert shown == [one, rf"{one}\N{{\r}}two", rf"{one}\N{{\r}}{two}", two, "two"]


@pytest.mark.parametrize(
    "make",
    [
        lambda number: (number, 10**7 - number),
        lambda number: (0, 1000 + number),
        lambda number: (number * 10, number * 10 + 25),
    ],
    ids=["nested", "together", "rolling"],
)
def test_stacking_grows_evenly(make: Callable[[int], tuple[int, int]]) -> None:
    def prepare(size: int) -> Callable[[], object]:
        cues = [Cue(*make(number), f"x{number}", name=str(number)) for number in range(size)]
        return lambda: (ass.write_script(map(ass.PlacedCue, cues), 320, 180), cue_warnings.crowd_warnings(cues))

    assert_grows_gently(prepare, operator.call, 500)


def test_captions_after_the_end_are_named() -> None:
    cues = [Cue(start, start + 1500, "x", name=f"caption {start}") for start in (0, 1000, 2000, 3000)]
    late, cut = cue_warnings.late_warnings(cues, 2.0)
    assert (late.reason, late.metadata["cues"]) == ("CUES_AFTER_END", "caption 2000; caption 3000")
    assert (cut.reason, cut.metadata["cues"]) == ("CUES_CUT_SHORT", "caption 1000")
    assert "at 2.00 s" in late.message
    assert not cue_warnings.late_warnings(cues, 4.45)
    with pytest.raises(SubtitleError, match=r"all captions begin after the video's end at 1.00 s: caption 1000; "):
        cue_warnings.late_warnings(cues[1:], 1.0)

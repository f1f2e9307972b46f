"""SubRip as it is found in the wild, to cues; and cues to ASS text."""

import pytest

from encoder import ass
from encoder.subtitles import Cue, SubtitleError, parse


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("1\n00:00:01,000 --> 00:00:02,500\nOne\n", [Cue(1000, 2500, "One")]),
        ("1\n0:0:1,5 --> 0:0:2\nOne\n", [Cue(1500, 2000, "One")]),
        ("1\n00:00:01.000 --> 00:00:02.000 X1:1 X2:2\nOne\nTwo\n", [Cue(1000, 2000, "One\nTwo")]),
        (  # no blank line between cues
            "1\n00:00:01,000 --> 00:00:02,000\nOne\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n",
            [Cue(1000, 2000, "One"), Cue(3000, 4000, "Two")],
        ),
        (  # overlapping, and in any order
            "1\n00:00:03,000 --> 00:00:05,000\nOne\n\n2\n00:00:01,000 --> 00:00:04,000\nTwo\n",
            [Cue(3000, 5000, "One"), Cue(1000, 4000, "Two")],
        ),
        (  # without length, without text
            "1\n00:00:01,000 --> 00:00:01,000\nOne\n\n2\n00:00:03,000 --> 00:00:04,000\n\n",
            [],
        ),
        ("1\n00:00:01,000 --> 00:00:02,000\nOne\n\nafter a blank\n", [Cue(1000, 2000, "One\n\nafter a blank")]),
        ("1\n100:00:00,000 --> 100:00:01,000\nLate\n", [Cue(360_000_000, 360_001_000, "Late")]),
        ("1\n00:00:01,000 --> 00:00:02,000\n1984\n", [Cue(1000, 2000, "1984")]),
    ],
)
def test_cues(text: str, cues: list[Cue]) -> None:
    assert parse(text.encode()) == cues


@pytest.mark.parametrize("times", ["00:00:01,000 -> 2", "00:00:aa,000 --> 00:00:02,000", "1 --> 2", "--> 00:00:02,000"])
def test_bad_times_name_cue_and_line(times: str) -> None:
    good = "1\n00:00:01,000 --> 00:00:02,000\nOne\n\n"
    if "-->" not in times:
        with pytest.raises(SubtitleError, match="line 2"):
            parse(f"1\n{times}\nOne\n\n{good}".encode())
        return
    with pytest.raises(SubtitleError, match="caption 2, line 6"):
        parse(f"{good}2\n{times}\nTwo\n".encode())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("a\nb", r"a\Nb"),
        ("<i>a</i> <B>b</B> <u>c</u>", r"{\i1}a{\i0} {\b1}b{\b0} {\u1}c{\u0}"),
        (r"{\an8}top", r"{\an8}top"),
        ('<font color="#ff0000">red</font>', "red"),
        (r"{\b1}", "\\{\\\u2060b1\\}"),
        ("1 < 2 > 1", "1 < 2 > 1"),
        ("C:\\new", "C:\\\u2060new"),
        ("{\\an8\\p1}", "\\{\\\u2060an8\\\u2060p1\\}"),
    ],
)
def test_known_marks_are_kept_and_all_else_is_words(words: str, text: str) -> None:
    assert ass.text(words) == text


def test_a_line_of_the_script_cannot_be_forged() -> None:
    forged = "x\r\nDialogue: 0,0:00:00.00,9:00:00.00,Default,,0,0,0,,forged"
    made = ass.script([Cue(0, 1000, forged)], 320, 180)
    assert sum(line.startswith("Dialogue:") for line in made.splitlines()) == 1

"""What cannot be drawn of subtitles is left out and named, and refuses a file only where nothing is left."""

import pytest

from encoder.captions import cue_warnings
from encoder.captions.formats import Cue, LeftOut, SubtitleError, Subtitles, read

GOOD = "1\n00:00:01,000 --> 00:00:02,000\nOne\n\n"
LAST = "\n\n9\n00:00:08,000 --> 00:00:09,000\nLast\n"


def read_subtitles(text: str) -> Subtitles:
    found = read(text.encode())
    assert isinstance(found, Subtitles)
    return found


def left_out(text: str) -> list[str]:
    return list(map(str, read_subtitles(text).left_out))


@pytest.mark.parametrize("head", ["", "WEBVTT\n\n"], ids=["srt", "vtt"])
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("00:00:05,290 --> 00:00:03,520\nTwo", "ends before it starts"),
        ("00:00:05,000 --> 00:00:05,000\nTwo", "lasts no time"),
        ("00:00:05,000 --> 00:00:06,000\n", "has no text"),
        ("00:00:05,000 --> 00:00:06,000\n<i> \u200b{\\an8}</i>", "has no text"),
        ("00:00:aa,000 --> 00:00:06,000\nTwo", "has times that are not like"),
        ("--> 00:00:06,000\nTwo", "has times that are not like"),
        ("1 --> 2\nTwo", "has times that are not like"),
        ("00:00:05:12 --> 00:00:06:12\nTwo", "has times that are not like"),
        ("00:00:05,000 --> 00:00:06,000\n" + "x" * 21_000, "has more than 20,000 letters"),
    ],
)
def test_one_bad_cue_is_left_out_by_its_name(head: str, bad: str, why: str) -> None:
    found = read_subtitles(f"{head}{GOOD}2\n{bad}{LAST}")
    line, times = 6 + head.count("\n"), bad.split("\n", 1)[0]
    assert [cue.text for cue in found.cues] == ["One", "Last"]
    assert [one.name for one in found.left_out] == [f"caption 2, line {line} ({times})"]
    assert found.left_out[0].why.startswith(why)


def test_text_without_times_is_named() -> None:
    assert left_out(f"Here are your subtitles:\n\n{GOOD}") == [
        "line 1 stands before any times like '00:00:01,000 --> 00:00:04,000' ('Here are your subtitles:')"
    ]
    assert left_out(f"WEBVTT\n\n{GOOD}more of it\n\nNOTE not this\n") == ["line 7 has no times ('more of it')"]
    assert left_out(f"1\n00:00:01,000 -> 2\nOne\n\n{GOOD}") == [
        "caption 1, line 2 (00:00:01,000 -> 2) has times that are not like '00:00:01,000 --> 00:00:04,000'"
    ]


@pytest.mark.parametrize("text", ["File --> Open", "a -> b", "1 --> 2"])
def test_an_arrow_in_text_is_text(text: str) -> None:
    assert read_subtitles(f"1\n00:00:01,000 --> 00:00:02,000\nClick\n{text}\n").cues[0].text == f"Click\n{text}"


@pytest.mark.parametrize(
    "text",
    [
        "1\n00:00:00,000 --> 00:00:00,000\nHello\n\n2\n00:00:00,000 --> 00:00:00,000\nWorld\n",
        "1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\n",
        "WEBVTT\n\n00:02.000 --> 00:01.000\na\n",
    ],
)
def test_a_file_of_which_nothing_is_left_is_refused(text: str) -> None:
    with pytest.raises(SubtitleError, match=r"nothing of it can be drawn: caption 1, line \d"):
        read(text.encode())


def test_the_warning_names_the_first() -> None:
    found = tuple(LeftOut(f"caption {number}", "has no text") for number in range(1, 31))
    (warning,) = cue_warnings.left_out_warnings(found)
    assert warning.reason == "CUES_LEFT_OUT"
    assert warning.message.startswith("30 captions are left out: caption 1 has no text; ")
    assert "caption 10 has no text; and 20 more" in warning.message
    assert warning.metadata["count"] == "30"
    assert warning.metadata["cues"].endswith("; caption 10; and 20 more")
    assert not cue_warnings.left_out_warnings([])
    assert not cue_warnings.mark_warnings(set())


def test_an_error_quotes_little_of_a_file() -> None:
    with pytest.raises(SubtitleError) as caught:
        read(("00:00:aa,000 --> 00:00:06,000" + "x" * 1000 + "\n").encode() * 1000)
    assert len(str(caught.value)) < 2000


def test_cues_keep_their_own_times() -> None:
    assert read_subtitles(GOOD).cues == (Cue(1000, 2000, "One"),)

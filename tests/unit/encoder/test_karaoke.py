"""The times of words: split where no blanks are, and matched letter by letter to what a request gives."""

import pytest

from apigpu.v1 import caption_style_pb2, video_pb2
from encoder.captions import formats, karaoke, word_matching
from encoder.captions.formats import Cue
from encoder.captions.karaoke import Word
from servicekit.errors import InvalidArgument

Timed = list[tuple[str, int, int]]


def shown(cue: Cue, words: list[Word]) -> Timed:
    return [(cue.text[word.first : word.end], word.start_ms, word.end_ms) for word in words]


def match(
    texts: str | list[str], said: list[str], times: list[tuple[float, float]] | None = None, cue_ms: int = 10_000
) -> tuple[list[Timed], list[video_pb2.Warning]]:
    """Cues one after the other, and words of a second each unless `times` are given."""
    listed = [texts] if isinstance(texts, str) else texts
    cues = [Cue(number * cue_ms, (number + 1) * cue_ms, text) for number, text in enumerate(listed)]
    spans = times or [(number, number + 1) for number in range(len(said))]
    words = [
        caption_style_pb2.CaptionWord(text=text, start=start, end=end)
        for text, (start, end) in zip(said, spans, strict=True)
    ]
    found, warnings = word_matching.match_words(cues, words)
    return [shown(cue, words) for cue, words in zip(cues, found, strict=True)], warnings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one two-three, 3.11", ["one", "two-three,", "3.11"]),
        ("สวัสดีครับวันนี้", ["สวัสดี", "ครับ", "วัน", "นี้"]),
        ("今日は、「いい」天気。", ["今", "日", "は、", "「い", "い」", "天", "気。"]),
        ("iPhoneを買う", ["iPhone", "を", "買", "う"]),
        ("안녕하세요 여러분", ["안녕하세요", "여러분"]),
        ("<i>今日</i> <b>は</b>", ["<i>今", "日</i>", "<b>は</b>"]),
        ("สวัส<i>ดีครับ</i>", ["สวัส<i>ดี", "ครับ</i>"]),
        ("👨\u200d👩\u200d👧 hi", ["👨\u200d👩\u200d👧", "hi"]),
        ("<i> </i>", []),
    ],
)
def test_text_is_split_where_words_of_its_script_end(text: str, words: list[str]) -> None:
    assert [text[first:end] for first, end in karaoke.split(text)] == words


def test_words_without_blanks_share_the_time_of_their_caption_by_their_letters() -> None:
    cue = Cue(0, 4000, "你好世界")
    words = karaoke.timed_words(cue)
    assert shown(cue, words) == [("你", 0, 1000), ("好", 1000, 2000), ("世", 2000, 3000), ("界", 3000, 4000)]


def test_times_of_webvtt_part_words_and_do_not_run_backwards_or_past_the_end() -> None:
    found = formats.read(b"WEBVTT\n\n00:00.000 --> 00:04.000\nka<00:01.000>ra<00:00.500>o<00:09.000>ke <00:03.000>on\n")
    assert isinstance(found, formats.Subtitles)
    (cue,) = found.cues
    words = shown(cue, karaoke.timed_words(cue))
    assert words[0] == ("ka", 0, 1000)
    assert words[-1] == ("on", 3000, 4000)
    assert [text for text, _, _ in words[1:-1]] == ["ra", "o", "ke"]
    assert all(start < end for _, start, end in words)


@pytest.mark.parametrize(
    ("text", "said", "lit"),
    [
        (
            "I don't know, well-known 3.11!",
            ["I", " don", "'t", " know", " well", "-known", " 3", ".11"],
            ["I", "don", "'t", "know,", "well", "-known", "3", ".11!"],
        ),
        ("今日はいい天気。", ["今日", "は", "いい", "天", "気"], ["今日", "は", "いい", "天", "気。"]),
        ("今日は「いい」天気", ["今日は", "いい", "天気"], ["今日は", "「いい」", "天気"]),
        ("สวัสดีครับ", ["สวัส", "ดี", "ครับ"], ["สวัส", "ดี", "ครับ"]),
        ("New York City", ["New York", "City"], ["New York", "City"]),
        ("<i>one</i> “two” (three)", ["one", "two", "THREE"], ["<i>one</i>", "“two”", "(three)"]),
        ("café ﬁne", ["cafe\u0301", "fine"], ["café", "ﬁne"]),
        ("नमस्ते", ["न", "म", "स्ते"], ["न", "म", "स्ते"]),
        ("क्षत्रिय", ["क्", "षत्", "रिय"], ["क्ष", "त्रि", "य"]),
        ("- one – two", ["-", "one", "–", "two"], ["-", "one", "–", "two"]),
        ("- one – two", ["one", "two"], ["one", "two"]),
    ],
)
def test_words_are_matched_letter_by_letter(text: str, said: list[str], lit: list[str]) -> None:
    (words,), warnings = match(text, said)
    assert [word for word, _, _ in words] == lit
    if len(lit) == len(said):
        assert [start for _, start, _ in words] == [number * 1000 for number in range(len(said))]
    assert not warnings


def test_a_word_that_reaches_into_the_next_caption_lights_up_in_both() -> None:
    (one, two), warnings = match(["New", "York"], ["New York"], [(9, 11)])
    assert (one, two) == ([("New", 9000, 10_000)], [("York", 10_000, 11_000)])
    assert not warnings


def test_a_word_that_differs_takes_the_time_of_those_in_its_place() -> None:
    (words,), warnings = match("I am going to leave now", ["I", "am", "gonna", "leave", "now"])
    assert [word for word, _, _ in words] == ["I", "am", "going", "to", "leave", "now"]
    assert words[2:4] == [("going", 2000, 2714), ("to", 2714, 3000)]
    assert [(warning.reason, dict(warning.metadata)) for warning in warnings] == [
        ("WORDS_UNMATCHED", {"cue": "1", "text": "going to"})
    ]


@pytest.mark.parametrize(
    ("said", "lit"),
    [
        (["one", "three"], ["one", "two", "three"]),
        (["one", "two"], ["one", "two", "three"]),
        (["two", "three"], ["one", "two", "three"]),
    ],
)
def test_words_that_are_missing_share_a_time_and_are_told(said: list[str], lit: list[str]) -> None:
    times = [(float(lit.index(word)) + 1, float(lit.index(word)) + 1.5) for word in said]
    (words,), (warning,) = match("one two three", said, times)
    assert [word for word, _, _ in words] == lit
    assert warning.reason == "WORDS_UNMATCHED"
    assert warning.metadata["text"] == next(word for word in lit if word not in said)


def test_words_that_the_captions_do_not_have_are_left_out_and_told() -> None:
    (words,), (warning,) = match("one two", ["one", "extra", "two"])
    assert words == [("one", 0, 1000), ("two", 2000, 3000)]
    assert (warning.reason, dict(warning.metadata)) == ("WORDS_UNMATCHED", {"word": "1", "text": "extra"})
    assert "words[1]" in warning.message


def test_words_are_found_again_after_captions_that_were_not_transcribed() -> None:
    texts = [f"caption number {letter}{letter} of many" for letter in "abcdefghijklmnopqrst"]
    said = [word for number in (0, 1, 18, 19) for word in texts[number].split()]
    times = [(number * 10 + part, number * 10 + part + 1) for number in (0, 1, 18, 19) for part in range(5)]
    cues, warnings = match(texts, said, times)
    assert cues[19][2] == ("tt", 192_000, 193_000)
    assert {warning.metadata["cue"] for warning in warnings} == {str(number) for number in range(3, 19)}


@pytest.mark.parametrize(
    ("times", "lit"),
    [
        ([(0, 2.5), (1, 3), (2, 4)], [("a", 0, 1000), ("b", 1000, 2000), ("c", 2000, 4000)]),  # overlapping
        ([(3, 4), (1, 2), (0, 1)], [("c", 0, 1000), ("b", 1000, 2000), ("a", 3000, 4000)]),  # backwards
        ([(0, 0), (1, 1), (2, 3)], [("a", 0, 1000), ("b", 1000, 2000), ("c", 2000, 3000)]),  # empty
        ([(1, 0), (2, 1), (3, 4)], [("a", 1000, 2000), ("b", 2000, 3000), ("c", 3000, 4000)]),  # ends before it starts
        ([(0, 1), (1, 1), (1, 2)], [("a", 0, 500), ("b", 500, 1000), ("c", 1000, 2000)]),  # no room
    ],
)
def test_odd_times_are_taken_as_players_take_them(times: list[tuple[float, float]], lit: Timed) -> None:
    (words,), warnings = match("a b c", ["a", "b", "c"], times)
    assert words == lit
    assert not warnings


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([(0, 0), (0, 0), (0, 0)], "a b c"),
        ([(0, 1), (1, 2), (20, 30)], "c"),
        ([(0, 1), (1, 2), (1, 3)], "b"),
    ],
)
def test_times_by_which_something_is_lost_are_told(times: list[tuple[float, float]], told: str) -> None:
    (words,), (warning,) = match("a b c", ["a", "b", "c"], times)
    assert all(start < end for _, start, end in words)
    assert (warning.reason, dict(warning.metadata)) == ("WORD_TIMES", {"cue": "1", "text": told})


@pytest.mark.parametrize(
    ("said", "told"),
    [(["completely", "other"], "words[0].text: 'completely'"), (["♪", "-"], "words: no word has letters")],
)
def test_words_of_another_text_are_refused(said: list[str], told: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        match("one two three", said)
    assert caught.value.message.startswith(told)


def test_warnings_are_few() -> None:
    said = [f"word{number}" for number in range(200)]
    _, warnings = match([f"word{number} more" for number in range(200)], said, cue_ms=1000)
    assert len(warnings) == word_matching.MAX_WARNINGS

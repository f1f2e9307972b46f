"""Words become captions: by their number, letters, pauses and sentences; in scripts without blanks by ICU."""

import json
import operator
import unicodedata
from collections.abc import Callable

import pytest

from apigpu.v1.caption_style_pb2 import CaptionStyle, CaptionWord, CueRules
from encoder.captions import cutting, formats
from encoder.captions.formats import Cue, SubtitleError
from encoder.captions.formats.cue import SpokenWord
from encoder.captions.karaoke import timed_words
from encoder.captions.line_breaks import break_places
from encoder.captions.styles import complete_style
from tests.support.growth import assert_grows_gently

STORM = "It was a dark and stormy night, when the rain fell in torrents"


def said(text: str, seconds: float = 0.5) -> list[CaptionWord]:
    return [CaptionWord(text=word, start=n * seconds, end=(n + 1) * seconds) for n, word in enumerate(text.split())]


def cut_cues(cues: list[Cue], preset: int = 0, width: int = 1920, height: int = 1080, **rules: object) -> list[Cue]:
    style = complete_style(CaptionStyle(preset=preset))
    made = cutting.complete_rules(CueRules(**rules), style, width, height)
    return cutting.cut(cues, [], made)[0]


def texts(words: list[CaptionWord], preset: int = 0, **rules: object) -> list[str]:
    return [cue.text for cue in cut_cues(list(cutting.subtitles_of(words).cues), preset, **rules)]


CUT = {
    "two lines, even": (STORM, {}, ["It was a dark and stormy night,\nwhen the rain fell in torrents"]),
    "words in a line": (
        "one two three four five six seven",
        {"words_per_line": 3, "max_lines": 1},
        ["one two three", "four five six", "seven"],
    ),
    "letters in a line": ("aaaa bbbb cccc dddd eeee", {"letters_per_line": 9}, ["aaaa bbbb\ncccc", "dddd eeee"]),
    "a long word": (
        "a incomprehensibilities b",
        {"letters_per_line": 8, "max_lines": 1},
        ["a", "incomprehensibilities", "b"],
    ),
    "sentences": ("Mr. J. Smith left. Then he came.", {}, ["Mr. J. Smith left.", "Then he came."]),
    "no sentences": ("He left. Then she came.", {"sentences": False}, ["He left. Then she came."]),
    "a number is no end": ("It costs 3. 50 now.", {}, ["It costs 3.", "50 now."]),
    "parts of words": ("don 't stop , now", {}, ["don't stop, now"]),
}


@pytest.mark.parametrize("name", CUT)
def test_words_are_cut_by_rules(name: str) -> None:
    text, rules, expected = CUT[name]
    assert texts(said(text), **rules) == expected


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (CaptionStyle.PRESET_WORD, ["one", "two", "three", "four"]),
        (CaptionStyle.PRESET_POP, ["one two", "three four"]),
        (CaptionStyle.PRESET_KARAOKE, ["one two\nthree four"]),
        (CaptionStyle.PRESET_ROUNDED, ["one two three four"]),
    ],
)
def test_what_is_not_given_follows_from_the_preset(preset: int, expected: list[str]) -> None:
    found = texts(said("one two three four"), preset, **({"letters_per_line": 12} if preset == 4 else {}))
    assert found == expected


def test_lines_are_no_longer_than_a_narrow_picture_has_room_for() -> None:
    cues = list(cutting.subtitles_of(said(STORM)).cues)
    wide = max(len(line) for cue in cut_cues(cues) for line in cue.text.split("\n"))
    narrow = max(len(line) for cue in cut_cues(cues, width=540, height=1920) for line in cue.text.split("\n"))
    assert wide > 30
    assert narrow < 36


def test_a_pause_begins_a_caption_and_a_moment_does_not_end_one() -> None:
    starts = [0.0, 0.5, 1.1, 3.0]
    words = [CaptionWord(text=f"w{n}", start=start, end=start + 0.4) for n, start in enumerate(starts)]
    cues = cut_cues(list(cutting.subtitles_of(words).cues), words_per_line=1, max_lines=1)
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(0, 500), (500, 1100), (1100, 1500), (3000, 3400)]
    cues = cut_cues(list(cutting.subtitles_of(words).cues))
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in cues] == [(0, 1500, "w0 w1 w2"), (3000, 3400, "w3")]
    cues = cut_cues(list(cutting.subtitles_of(words).cues), pause_seconds=0.15)
    assert [cue.text for cue in cues] == ["w0 w1", "w2", "w3"]


# The tokens of recognizers in scripts without blanks: letters, or words.
UNSPACED = {
    "Thai": "วันนี้อากาศดีมากเราจะไปเที่ยวทะเลกันทั้งครอบครัวและกินอาหารทะเลสดๆด้วยกัน",
    "Japanese": "今日は天気がいいので、家族みんなで海へ行きます。そして、新鮮な魚を食べます。",
    "Chinese": "今天天气很好，所以我们全家一起去海边玩。然后吃新鲜的鱼。",
}


@pytest.mark.parametrize("name", UNSPACED)
def test_scripts_without_blanks_are_cut_where_their_rules_allow_it(name: str) -> None:
    text = UNSPACED[name]
    words = [CaptionWord(text=letter, start=n * 0.1, end=n * 0.1 + 0.1) for n, letter in enumerate(text)]
    rules = cutting.complete_rules(
        CueRules(letters_per_line=20, max_lines=1), complete_style(CaptionStyle()), 1920, 1080
    )
    cues, lit = cutting.cut(cutting.subtitles_of(words).cues, [], rules)
    found = [cue.text for cue in cues]
    parts = [cue.text[word.first : word.end] for cue, some in zip(cues, lit, strict=True) for word in some]
    assert "".join(parts) == text
    assert not any(unicodedata.category(part[0]).startswith("M") for part in parts)
    assert "".join(found) == text
    assert len(found) > 2
    allowed, place = set(break_places(text)), 0
    for line in found:
        place += len(line)
        assert place in allowed


def test_what_a_recognizer_wrote_is_one_text_with_its_own_times() -> None:
    def segment(*words: tuple[str, float, float]) -> dict[str, object]:
        listed = [{"word": word, "start": start, "end": end} for word, start, end in words]
        return {
            "start": words[0][1],
            "end": words[-1][2],
            "text": "".join(word for word, _, _ in words),
            "words": listed,
        }

    segments = [
        segment((" So", 0, 0.4), (" I", 0.4, 0.6), (" do", 0.6, 0.8), ("n't", 0.8, 1)),
        segment((" know.", 1, 1.4), (" Well,", 1.5, 2), (" yes", 4, 4.5)),
    ]
    subtitles = formats.parse(json.dumps({"segments": segments}))
    assert isinstance(subtitles, formats.Subtitles)
    cues, words = cutting.cut(
        subtitles.cues, [], cutting.complete_rules(CueRules(), complete_style(CaptionStyle()), 1920, 1080)
    )
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in cues] == [
        (0, 1500, "So I don't know."),
        (1500, 2000, "Well,"),
        (4000, 4500, "yes"),
    ]
    shown = [(cues[0].text[word.first : word.end], word.start_ms, word.end_ms) for word in words[0]]
    assert shown[2:] == [("do", 600, 800), ("n't", 800, 1000), ("know.", 1000, 1400)]


SPOKEN = {
    "chunks of Transformers": {
        "chunks": [{"text": " One", "timestamp": [0, 0.4]}, {"text": " two", "timestamp": [0.4, 1]}]
    },
    "words in milliseconds": {
        "words": [{"text": "One", "start": 0, "end": 400}, {"text": "two", "start": 420, "end": 1000}]
    },
}


@pytest.mark.parametrize("name", SPOKEN)
def test_words_of_any_recognizer_are_joined(name: str) -> None:
    subtitles = formats.parse(json.dumps(SPOKEN[name]))
    assert isinstance(subtitles, formats.Subtitles)
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in cut_cues(list(subtitles.cues))] == [(0, 1000, "One two")]


def test_captions_of_a_file_are_divided_with_their_marks_and_never_joined() -> None:
    cues = [Cue(0, 2000, "- <i>One two\nthree</i> four"), Cue(2000, 3000, "- Five")]
    found = cut_cues(cues, words_per_line=2, max_lines=1)
    assert [cue.text for cue in found] == ["- <i>One</i>", "<i>two</i> <i>three</i>", "four", "- Five"]
    assert (found[0].start_ms, found[2].end_ms, found[3].end_ms) == (0, 2000, 3000)
    assert [cue.end_ms for cue in found[:2]] == [cue.start_ms for cue in found[1:3]]


def test_words_without_length_or_text_lose_nothing_else() -> None:
    words = [CaptionWord(text=text, start=at, end=at) for text, at in (("a", 0), ("b", 0), ("c", 1))]
    subtitles = cutting.subtitles_of(
        [*words, CaptionWord(text=" ", start=2, end=3), CaptionWord(text="d", start=3, end=2)]
    )
    assert [cue.text for cue in subtitles.cues] == ["a", "b", "c"]
    assert [each.name for each in subtitles.left_out] == ["words[3]", "words[4]"]


Said = Callable[[int], list[Cue]]
GROWING: dict[str, Said] = {
    "words": lambda size: list(cutting.subtitles_of([CaptionWord(text="word", end=1)] * size).cues),
    "letters": lambda size: list(cutting.subtitles_of([CaptionWord(text="一", end=1)] * size).cues),
    "unbroken": lambda size: list(cutting.subtitles_of([CaptionWord(text=",", end=1)] * size).cues),
    "open marks": lambda size: [Cue(0, 1000, "<i>a " * size)],
    "sentences": lambda size: list(cutting.subtitles_of([CaptionWord(text="." * size, end=1)] * 9).cues),
}


@pytest.mark.parametrize("name", GROWING)
def test_cutting_grows_evenly(name: str) -> None:
    rules = cutting.complete_rules(
        CueRules(letters_per_line=500, max_lines=10), complete_style(CaptionStyle()), 640, 360
    )

    def prepare(size: int) -> Callable[[], object]:
        cues = GROWING[name](size)
        return lambda: cutting.cut(cues, [timed_words(cue) if not cue.spoken else [] for cue in cues], rules)

    assert_grows_gently(prepare, operator.call, 200)


def test_words_are_bounded() -> None:
    with pytest.raises(SubtitleError, match="more than 100,000 words"):
        cut_cues([Cue(0, 1000, "a", spoken=(SpokenWord("a", 0, 1000),) * 100_001)])

"""Words as speech recognizers write them are read by what they say, whatever it stands in."""

from typing import Any

import pytest

from servicekit.spoken_words import plain_words
from tests.support.growth import assert_grows_gently

HI, YOU = {"text": "Hi,", "start": 0.1, "end": 0.4}, {"text": "you.", "start": 0.5, "end": 0.9}
TIMED = [{"word": "Hi,", "start": 0.1, "end": 0.4, "probability": 0.9}, {"word": "you.", "start": 0.5, "end": 0.9}]
# What tools write of "Hi, you.", cut down to what tells one from another.
SHAPES: dict[str, Any] = {
    "as requests have them": [HI, YOU],
    "whisper": {"text": "Hi, you.", "segments": [{"id": 0, "words": TIMED[:1]}, {"id": 1, "words": TIMED[1:]}]},
    "segments of whisper": [{"id": 0, "text": "Hi, you.", "tokens": [1, 2], "words": TIMED}],
    "a list of whisper's words": TIMED,
    "OpenAI": {"words": TIMED, "segments": [{"start": 0.1, "end": 0.9, "text": "Hi, you.", "tokens": [1, 2]}]},
    "whisper-timestamped": {"segments": [{"words": [{**HI, "confidence": 0.9}, {**YOU, "confidence": 0.9}]}]},
    "WhisperX": {"segments": [{"words": [{**word, "score": 0.5} for word in TIMED]}], "word_segments": TIMED},
    "Transformers": {"chunks": [{"text": "Hi,", "timestamp": [0.1, 0.4]}, {"text": "you.", "timestamp": [0.5, 0.9]}]},
    "whisper.cpp": {
        "transcription": [
            {
                "text": "Hi, you.",
                "offsets": {"from": 0, "to": 900},
                "tokens": [
                    {"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}, "p": 1.0},
                    {"text": "Hi,", "offsets": {"from": 100, "to": 400}, "p": 0.9},
                    {"text": "you.", "offsets": {"from": 500, "to": 900}, "p": 0.9},
                ],
            }
        ]
    },
    "Vosk": {"result": [{"conf": 1.0, **word} for word in TIMED], "text": "Hi, you."},
    "Deepgram": {
        "results": {
            "channels": [
                {
                    "alternatives": [
                        {
                            "transcript": "Hi, you.",
                            "words": [
                                {"word": "hi", "punctuated_word": "Hi,", "start": 0.1, "end": 0.4, "speaker": 0},
                                {"word": "you", "punctuated_word": "you.", "start": 0.5, "end": 0.9, "speaker": 0},
                            ],
                        },
                        {"transcript": "Hi, hue.", "words": TIMED},
                    ]
                }
            ]
        }
    },
    "AssemblyAI": {
        "words": [
            {"text": "Hi,", "start": 100, "end": 400, "confidence": 0.9},
            {"text": "you.", "start": 500, "end": 900, "confidence": 0.9},
        ]
    },
    "ElevenLabs": {
        "words": [
            {**HI, "type": "word"},
            {"text": " ", "start": 0.4, "end": 0.5, "type": "spacing"},
            {**YOU, "type": "word"},
            {"text": "(laughter)", "start": 1.0, "end": 2.0, "type": "audio_event"},
        ]
    },
    "Google": {
        "results": [
            {
                "alternatives": [
                    {
                        "transcript": "Hi, you.",
                        "words": [
                            {"startTime": "0.100s", "endTime": "0.400s", "word": "Hi,"},
                            {"startTime": "0.500s", "endTime": "0.900s", "word": "you."},
                        ],
                    }
                ]
            }
        ]
    },
    "Amazon": {
        "results": {
            "transcripts": [{"transcript": "Hi, you."}],
            "items": [
                {"type": "pronunciation", "start_time": "0.1", "end_time": "0.4", "alternatives": [{"content": "Hi"}]},
                {"type": "punctuation", "alternatives": [{"content": ","}]},
                {"type": "pronunciation", "start_time": "0.5", "end_time": "0.9", "alternatives": [{"content": "you"}]},
                {"type": "punctuation", "alternatives": [{"content": "."}]},
            ],
        }
    },
    "Rev": {
        "monologues": [
            {
                "elements": [
                    {"type": "text", "value": "Hi", "ts": 0.1, "end_ts": 0.4},
                    {"type": "punct", "value": ", "},
                    {"type": "text", "value": "you", "ts": 0.5, "end_ts": 0.9},
                    {"type": "punct", "value": "."},
                ]
            }
        ]
    },
}


@pytest.mark.parametrize("name", SHAPES)
def test_words_are_found_in_what_tools_write(name: str) -> None:
    assert plain_words(SHAPES[name]) == [HI, YOU]


def test_blanks_stay_by_which_parts_of_words_are_joined() -> None:
    words = [{"word": " New", "start": 0, "end": 1}, {"word": "-born", "start": 1, "end": 2}]
    assert [word["text"] for word in plain_words(words)] == [" New", "-born"]


def test_a_word_without_times_stands_where_the_one_before_it_ends() -> None:
    words = plain_words([TIMED[0], {"word": "1999", "score": 0.1}, TIMED[1]])
    assert words == [HI, {"text": "1999", "start": 0.4, "end": 0.4}, YOU]


@pytest.mark.parametrize(
    "value",
    [None, "x", 5, [], {}, HI, [{"text": "a", "strat": 1}], [{"text": "New York", "start": 0, "end": 1}], [5, {}]],
    ids=repr,
)
def test_what_no_tool_wrote_stays_as_it_is(value: Any) -> None:
    assert plain_words(value) == value


@pytest.mark.parametrize(
    "value", [[5], [{}], [{"word": 1, "start": 0}], [{"word": "a", "start": "soon", "end": 1}]], ids=repr
)
def test_what_is_no_word_is_left_to_be_told_of(value: Any) -> None:
    assert len(plain_words({"words": value})) == 1


@pytest.mark.parametrize(
    "before", [{"start": 0, "end": 1, "type": "word"}, {"text": 5, "start": 0, "type": "word"}, 5, None], ids=repr
)
def test_signs_behind_what_is_no_word_are_left_out(before: Any) -> None:
    words = [TIMED[0], before, {"type": "punctuation", "value": "."}]
    assert plain_words(words)[0] == HI


@pytest.mark.parametrize("number", [10**400, -(10**400)], ids=["high", "low"])
def test_numbers_of_any_size_are_left_to_be_told_of(number: int) -> None:
    units = {"word": "a", "offsets": {"from": number, "to": number}}
    many = {"word": "a", "start": number, "end": number + 10**300, "confidence": 1}
    assert [word["start"] for each in (units, many) for word in plain_words([each])] == [number, number]


@pytest.mark.parametrize(
    "value",
    [
        {"segments": [{"id": 0, "start": 0.0, "end": 2.0, "text": " Hello brave new world.", "tokens": [1, 2]}]},
        {"chunks": [{"text": " Hello brave new world.", "timestamp": [0.0, 2.0]}]},
        [{"id": 0, "start": 0.0, "end": 2.0, "text": " Hello brave new world."}],
        {"segments": []},
        # As of those that tell times under names of their own.
        [{"word": "Hello", "Offset": 0, "Duration": 5_000_000}, {"word": "world.", "Offset": 5_000_000}],
    ],
    ids=repr,
)
def test_passages_without_times_of_words_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="no times of words"):
        plain_words(value)


@pytest.mark.parametrize(
    "unit",
    [
        {"word": "a", "start": 0, "end": 1},
        {"words": [{"word": "a", "start": 0, "end": 1}]},
        {"type": "punct", "value": "." * 50},
        {"segments": [{"segments": [{"segments": [{}]}]}]},
    ],
    ids=repr,
)
def test_words_take_time_in_step_with_their_number(unit: Any) -> None:
    first = {"word": "a", "start": 0, "type": "text"}
    assert_grows_gently(lambda size: {"segments": [first, *[unit] * size]}, plain_words, 1_000)


def test_what_is_nested_too_deep_is_refused() -> None:
    value: Any = {"words": TIMED}
    for _ in range(500):
        value = {"segments": [value]}
    with pytest.raises(ValueError, match="no times of words"):
        plain_words(value)

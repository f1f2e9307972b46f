"""Words with their times, in the shapes in which speech recognizers write them: whisper and what is like it (WhisperX,
faster-whisper, whisper.cpp, Transformers, OpenAI's API), Vosk, Deepgram, AssemblyAI, ElevenLabs, Google, Amazon and
Rev."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# A word as requests have it.
PLAIN = frozenset({"text", "start", "end"})
# What holds words, or what holds them; of the first of FIRST_ONLY alone, as the others say the same otherwise.
PLACES = (
    *("words", "segments", "utterances", "chunks", "transcription", "monologues", "items", "elements", "tokens"),
    *("channels", "alternatives", "results", "result", "output", "data", "response"),
)
LISTS = frozenset(PLACES)
FIRST_ONLY = ("channels", "alternatives")
MAX_DEPTH = 6
TEXTS = ("punctuated_word", "word", "text", "value")
STARTS = ("start", "start_time", "startTime", "startOffset", "ts")
ENDS = ("end", "end_time", "endTime", "endOffset", "end_ts")
# What holds both times, and how many of them make a second.
PAIRS = {"timestamp": 1, "offsets": 1000}
# What only words of recognizers have: nothing of it is shown.
EXTRAS = frozenset(
    {
        *("probability", "score", "confidence", "conf", "logprob", "speaker", "speaker_id", "speaker_confidence"),
        *(
            "type",
            "language",
            "channel",
            "p",
            "t_dtw",
            "id",
            "characters",
            "speakerTag",
            "speakerLabel",
            "speaker_label",
        ),
        *("alternatives", "timestamps"),
    }
)
MARKS = EXTRAS | PAIRS.keys() | {*TEXTS, *STARTS, *ENDS} - PLAIN
# Kinds of what is told as words is: nothing that is said, and what stands behind the word before.
UNSAID, PUNCTUATION = ("spacing", "audio_event"), ("punctuation", "punct")
# How whisper.cpp begins what is no word.
SPECIAL = "[_"
NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
# Whole numbers by which a word would last so many seconds, one with the other, are milliseconds.
LONG_SECONDS = 20
# A word takes signs behind it up to so many letters.
MOST_LETTERS = 200
# Of what has no times of words, so many entries have one word at the most.
WORDS_SHARE = 0.8
NO_TIMES = (
    "it tells no times of words; have them written (whisper: --word_timestamps True; OpenAI: "
    'timestamp_granularities[]=word), or give the file as subtitles. A word is {"text": "Hello", "start": 0, '
    '"end": 0.4}.'
)


def plain_words(value: Any) -> Any:
    """Return what was given as words as a list of `text`, `start` and `end` in seconds, where it is in a shape of
    recognizers; anything else as it is. Raises ValueError for what such a tool wrote without the times of words."""
    if not isinstance(value, Mapping | list) or (isinstance(value, Mapping) and LISTS.isdisjoint(value)):
        return _plain([value]) if _is_written(value) else value
    found = list(_find([value] if isinstance(value, Mapping) else value))
    is_written = any(map(_is_written, found))
    if found == value and not is_written:
        return value
    if not found or _are_passages(found):
        raise ValueError(NO_TIMES)
    return _plain(found) if is_written else found


def _is_written(word: Any) -> bool:
    """Return True for a word as recognizers have it, and not requests."""
    return isinstance(word, Mapping) and not MARKS.isdisjoint(word)


def _find(values: Sequence[Any], depth: int = 0) -> Iterator[Any]:
    """Yield the words in some values, in their order: those within them, or, where none has any, they themselves."""
    held = [_within(each) for each in values]
    if depth < MAX_DEPTH and any(held):
        for inside in held:
            yield from _find(inside, depth + 1)
    else:
        yield from (
            each for each in values if not isinstance(each, Mapping) or LISTS.isdisjoint(each) or _content(each)
        )


def _within(value: Any) -> Sequence[Any]:
    """Return what holds the words of a value, or is them; nothing of a word."""
    if not isinstance(value, Mapping) or _content(value):
        return ()
    for name in PLACES:
        inside = value.get(name)
        if isinstance(inside, Mapping):
            return (inside,)
        # Whisper's `tokens` are numbers.
        if isinstance(inside, list) and inside and (name == PLACES[0] or isinstance(inside[0], Mapping)):
            return inside[:1] if name in FIRST_ONLY else inside
    return ()


def _are_passages(found: Sequence[Any]) -> bool:
    """Return True where what was found are whole passages, of several words each."""
    short = sum(not isinstance(each, Mapping) or len(_text(each).split()) <= 1 for each in found)
    return short < WORDS_SHARE * len(found)


def _content(value: Mapping[str, Any]) -> str:
    """Return the text of a word that stands in its first alternative."""
    some = value.get("alternatives")
    first = some[0] if isinstance(some, list) and some else None
    content = first.get("content") if isinstance(first, Mapping) else None
    return content if isinstance(content, str) else ""


def _text(word: Mapping[str, Any]) -> str:
    return next((word[name] for name in TEXTS if isinstance(word.get(name), str)), _content(word))


def _plain(words: Sequence[Any]) -> list[Any]:
    """Return words of a recognizer as requests have them. One without times stands where the one before it ends. Raises
    ValueError where none has any."""
    per_second = _per_second(words)
    made: list[Any] = []
    ended: Any = 0.0
    timed = untimed = 0
    for word in words:
        if not isinstance(word, Mapping):
            made.append(word)
            continue
        text = _text(word)
        if word.get("type") in PUNCTUATION:
            _put_behind(made[-1] if made else None, text)
            continue
        if word.get("type") in UNSAID or text.startswith(SPECIAL) or (text and not text.strip()):
            continue
        if not text:
            made.append({name: each for name, each in word.items() if name not in EXTRAS})
            continue
        start, end = (_seconds(each, per_second) for each in _times(word))
        timed, untimed = (timed, untimed + 1) if start is None and end is None else (timed + 1, untimed)
        start = ended if start is None else start
        ended = start if end is None else end
        made.append({"text": text, "start": start, "end": ended})
    if untimed and not timed:  # all of them would stand at the beginning
        raise ValueError(NO_TIMES)
    return made


def _put_behind(before: Any, signs: str) -> None:
    """Put signs behind the word before them, if there is one."""
    shown = before.get("text") if isinstance(before, dict) else None
    if isinstance(shown, str) and len(shown) < MOST_LETTERS:
        before["text"] = shown + signs[:MOST_LETTERS].rstrip()


def _times(word: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return start and end of a word as they are given, None where they are not."""
    for name, per_second in PAIRS.items():
        pair = word.get(name)
        pair = [pair.get("from"), pair.get("to")] if isinstance(pair, Mapping) else pair
        if isinstance(pair, list) and len(pair) == 2:
            start, end = pair
            return (start, end) if per_second == 1 else (_divided(start, per_second), _divided(end, per_second))
    start, end = (next((word[name] for name in names if word.get(name) is not None), None) for names in (STARTS, ENDS))
    return start, end


def _divided(value: Any, by: int) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value / by if is_number and abs(value) <= sys.float_info.max else value  # of JSON, integers have any size


def _seconds(value: Any, per_second: int) -> Any:
    """Return a time in seconds; as it is where it is none, to be told of as such."""
    if isinstance(value, str):
        number = value.strip().removesuffix("s")
        return float(number) if NUMBER.fullmatch(number) else value
    return _divided(value, per_second) if per_second > 1 else value


def _per_second(words: Sequence[Any]) -> int:
    """Return how many units of the given times make a second: whole numbers may be milliseconds."""
    spans = [(word.get("start"), word.get("end")) for word in words if isinstance(word, Mapping)]
    timed = [(start, end) for start, end in spans if start is not None and end is not None]
    if not timed or not all(type(time) is int for span in timed for time in span):
        return 1
    return 1000 if sum(end - start for start, end in timed) > LONG_SECONDS * len(timed) else 1

"""JSON of tools that write down what is said: whisper and those that are like it, and YouTube's json3.

Segments have a start, an end and a text, and may have their words with times: `segments[].words[]` with `word` or
`text`; `chunks[].timestamp` of Transformers, `transcription[].offsets` of whisper.cpp. A file of words alone becomes
captions of a few words.
"""

import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from encoder.captions.formats.clock import inline_time, parse_clock
from encoder.captions.formats.cue import MAX_ECHO, Cue, LeftOut, SpokenWord, SubtitleError, Subtitles, gather
from encoder.captions.formats.markup import read_marks
from servicekit.spoken_words import plain_words

HEAD = re.compile(r'\s*(?:\{\s*["}]|\[\s*[{\]])')
LISTS = ("segments", "chunks", "transcription", "utterances", "captions", "subtitles", "cues", "sentences", "events")
# What a service wraps about it.
WRAPPERS = ("output", "result", "results", "data", "response", "transcript", "transcription")
MAX_DEPTH = 4
TEXTS, WORDS = ("text", "transcript", "content", "caption"), ("word", "text", "punctuated_word")
# What holds both times, and the fields of start, end and length, by how many there are in a second.
PAIRS = {"offsets": 1000, "timestamp": 1, "timestamps": 1}
FIELDS = {
    (("start", "start_time", "begin", "from"), ("end", "end_time", "to"), ("dur", "duration")): 1,
    (("start_ms", "startMs", "tStartMs"), ("end_ms", "endMs"), ("dDurationMs",)): 1000,
}
NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
MOST_SECONDS = 1e10
LAST_SECONDS = 5
# Whole numbers for segments that would last so many seconds, one with the other, are milliseconds.
LONG_SECONDS = 100
# A word stands in its text behind so many other letters at the most.
NEAR = 40
# Words without segments become captions of so many lines, of so many words each; a longer pause ends one.
LINES, WORDS_IN_LINE, PAUSE_SECONDS = 2, 4, 1.5
# Segments are words where more than this share has no blank, and they are shorter than so many letters on average.
WORDS_SHARE, MOST_LETTERS = 0.8, 12
EXAMPLE = '{"segments": [{"start": 0.0, "end": 2.5, "text": "…"}]}'
NOT_KNOWN = (
    f"it is JSON without segments that have start, end and text; give what whisper writes ({EXAMPLE}), or SubRip."
)
Span = tuple[float, float]


def matches(text: str) -> bool:
    """Return True for what begins like JSON."""
    return HEAD.match(text) is not None


def parse(text: str) -> Subtitles:
    """Return a cue for each segment. Raises SubtitleError."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise SubtitleError(f"it looks like JSON, and cannot be read at line {error.lineno}: {error.msg}.") from error
    except (RecursionError, ValueError) as error:
        text = "it looks like JSON, and cannot be read: it is nested too deep, or a number is too long."
        raise SubtitleError(text) from error
    segments = _find_segments(value) or list(_grouped(_find_words(value) or _words_elsewhere(value)))
    if not segments:
        raise SubtitleError(NOT_KNOWN)
    language = value.get("language") if isinstance(value, dict) else ""
    return gather(_cues(segments), EXAMPLE, language=language if isinstance(language, str) else "")


def _find_segments(value: Any, depth: int = 0) -> Sequence[Mapping[str, Any]]:
    """Return the segments in a value, wherever services put them; none where there are none."""
    if isinstance(value, list):
        listed = [each for each in value if isinstance(each, dict)]
        return listed if any(_text(each) and _span(each) for each in listed) else ()
    if not isinstance(value, dict) or depth == MAX_DEPTH:
        return ()
    for name in (*LISTS, *WRAPPERS):
        if name in value and (found := _find_segments(value[name], depth + 1)):
            return found
    return ()


def _find_words(value: Any, depth: int = 0) -> Sequence[Mapping[str, Any]]:
    """Return the words of a file that has no segments, wherever services put them; none where there are none."""
    if isinstance(value, list):
        listed = [each for each in value if isinstance(each, dict)]
        return [word for word in listed if _first_text(word, WORDS) and _span(word)]
    if not isinstance(value, dict) or depth == MAX_DEPTH:
        return ()
    return next(filter(None, (_find_words(value.get(name), depth + 1) for name in ("words", *WRAPPERS))), ())


def _words_elsewhere(value: Any) -> Sequence[Mapping[str, Any]]:
    """Return the words of recognizers whose shapes are of another kind; none where there are none."""
    try:
        found = plain_words(value)
    except ValueError:
        return ()
    return [word for word in found if isinstance(word, dict) and _span(word)] if found is not value else ()


def _grouped(words: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield segments of a few words: two lines of four, ended early by a pause."""
    group: list[Mapping[str, Any]] = []
    pause = PAUSE_SECONDS * 1000 / _milliseconds_per_unit([span for word in words if (span := _span(word))], words)
    for word in words:
        if group and (len(group) == LINES * WORDS_IN_LINE or _pause(group[-1], word) > pause):
            yield _segment(group)
            group = []
        group.append(word)
    if group:
        yield _segment(group)


def _pause(word: Mapping[str, Any], following: Mapping[str, Any]) -> float:
    ended, begins = _span(word), _span(following)
    return begins[0] - ended[1] if ended and begins else 0.0


def _segment(words: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    lines = (words[start : start + WORDS_IN_LINE] for start in range(0, len(words), WORDS_IN_LINE))
    text = "\n".join(_joined([_first_text(word, WORDS) for word in line]) for line in lines)
    (start, _), (_, end) = _span(words[0]) or (0.0, 0.0), _span(words[-1]) or (0.0, 0.0)
    # Whole numbers stay so: they may be milliseconds.
    is_whole = isinstance(words[0].get("start"), int)
    return {"start": int(start) if is_whole else start, "end": end, "text": text, "words": words}


def _joined(words: Sequence[str]) -> str:
    """Return words as a line, without blanks between the letters of Chinese and Japanese."""
    pairs = itertools.pairwise(words)
    blanks = ["" if _is_wide(one[-1]) and _is_wide(other[0]) else " " for one, other in pairs]
    return "".join(itertools.chain.from_iterable(zip(words, [*blanks, ""], strict=True)))


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def _cues(segments: Sequence[Mapping[str, Any]]) -> Iterator[Cue | LeftOut]:
    spans = [_span(segment) for segment in segments]
    unit = _milliseconds_per_unit([span for span in spans if span is not None], segments)
    are_words = _are_words(segments)
    for number, (segment, span) in enumerate(zip(segments, spans, strict=True), 1):
        name = f"segment {number}"
        if span is None:
            yield LeftOut(name, "has no start and end in seconds")
            continue
        marked = read_marks(_with_times(segment, unit))
        times = round(span[0] * unit), round(span[1] * unit)
        spoken = [SpokenWord(_raw_text(segment, TEXTS), *times)] if are_words else _spoken(segment, unit)
        yield Cue(*times, marked.text, marked.word_times, marked.place, name, tuple(spoken))


def _milliseconds_per_unit(spans: Sequence[Span], segments: Sequence[Mapping[str, Any]]) -> int:
    """Return what a number of times stands for: whole ones may be milliseconds."""
    whole = all(isinstance(segment.get("start", 0), int) for segment in segments)
    return 1 if whole and sum(end - start for start, end in spans) > LONG_SECONDS * len(spans) else 1000


def _with_times(segment: Mapping[str, Any], unit: int) -> str:
    """Return the text of a segment with the time of each word before it, as WebVTT has it."""
    text, parts, position = _text(segment), [], 0
    words = segment.get("words")
    for word in words if isinstance(words, list) else ():
        shown = _first_text(word, WORDS) if isinstance(word, dict) else ""
        span = _span(word) if shown else None
        at = text.find(shown, position, position + len(shown) + NEAR) if span else -1
        if span is None or at < 0:
            continue
        parts += [text[position:at], inline_time(span[0] * unit)]
        position = at
    return "".join([*parts, text[position:]])


def _are_words(segments: Sequence[Mapping[str, Any]]) -> bool:
    """Return True for segments that are words, most of them, as Transformers' chunks may be."""
    texts = list(map(_text, segments))
    words = sum(not any(map(str.isspace, text)) for text in texts)
    return words > WORDS_SHARE * len(texts) and sum(map(len, texts)) < MOST_LETTERS * len(texts)


def _spoken(segment: Mapping[str, Any], unit: int) -> Iterator[SpokenWord]:
    """Yield the words of a segment that have times; none where they are not all of its letters."""
    words = segment.get("words")
    timed = [(word, _span(word)) for word in words if isinstance(word, dict)] if isinstance(words, list) else []
    found = [
        SpokenWord(shown, round(span[0] * unit), round(span[1] * unit))
        for word, span in timed
        if span and (shown := _raw_text(word, WORDS))
    ]
    if _letters("".join(word.text for word in found)) == _letters(_text(segment)):
        yield from found


def _letters(text: str) -> str:
    return "".join(text.split())


def _text(segment: Mapping[str, Any]) -> str:
    """Return the text of a segment; of json3 its parts."""
    text = _first_text(segment, TEXTS)
    parts = segment.get("segs")
    if not text and isinstance(parts, list):
        text = "".join(str(part.get("utf8", "")) for part in parts if isinstance(part, dict))
    return text.strip()


def _first_text(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return _raw_text(values, names).strip()


def _raw_text(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((values[name] for name in names if isinstance(values.get(name), str)), "")


def _span(segment: Mapping[str, Any]) -> Span | None:
    """Return start and end of a segment as they are counted; None where they are not given."""
    for key, per_second in PAIRS.items():
        pair = segment.get(key)
        pair = [pair.get("from"), pair.get("to")] if isinstance(pair, dict) else pair
        if isinstance(pair, list) and len(pair) == 2:
            return _as_span(pair[0], pair[1], None, per_second)
    for keys, per_second in FIELDS.items():
        start, end, lasts = (next((segment[key] for key in some if key in segment), None) for some in keys)
        if start is not None:
            return _as_span(start, end, lasts, per_second)
    return None


def _as_span(start: Any, end: Any, lasts: Any, per_second: int) -> Span | None:
    first, last, length = (_number(value) for value in (start, end, lasts))
    if first is None:
        return None
    if last is None:
        # Transformers know no end of what is said last.
        last = first + (length if length is not None else LAST_SECONDS * per_second)
    return first / per_second, last / per_second


def _number(value: Any) -> float | None:
    """Return a number of JSON, or one that was written as text or as a time; None for anything else."""
    if isinstance(value, str):
        if NUMBER.fullmatch(value):
            return float(value)
        time = parse_clock(value.strip()[:MAX_ECHO])
        return None if time is None else time / 1000
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_SECONDS:
        return None
    return float(value)

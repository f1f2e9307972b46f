"""The words that a request gives, with their times, as words of the captions. Pure, but for ICU's data.

Where the letters differ, as in a caption that was corrected by hand, the text between two places that agree shares the
time that the words between them have. Times are taken as players take them; what is lost by it is told.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, islice, pairwise, takewhile

from apigpu.v1 import caption_style_pb2, video_pb2
from encoder.captions.formats import Cue
from encoder.captions.karaoke import BLOT, Word, blotted, one_at_a_time, shared_times, split
from encoder.captions.line_breaks import letter_places
from encoder.captions.word_alignment import Letters, Span, Token, align, letters_of
from servicekit.errors import InvalidArgument

# Of the letters that are given: with fewer in place the words are of another text.
LEAST_MATCH = 0.5
# The share of the words of a caption that may have no time of their own without a warning.
MOST_UNTIMED = 0.5
# Letters that a warning or an error quotes.
MAX_ECHO = 60
MAX_WARNINGS = 40
ALONE, BLANK = re.compile(r"\S+"), re.compile(r"\s")
# Signs that stand before a word, by their category and by themselves.
OPENING, INVERTED = ("Ps", "Pi"), "¿¡"
LOST = {
    "WORDS_UNMATCHED": "'{}' is not so among the words that were given; it lights up in the time that they leave it.",
    "WORD_TIMES": "the times of '{}' are empty, outside those of the caption, or another word's; correct them.",
}


def match_words(
    cues: Sequence[Cue], requested: Iterable[caption_style_pb2.CaptionWord]
) -> tuple[list[list[Word]], list[video_pb2.Warning]]:
    """Return the words of each cue at the times that a request gives, and warnings of what does not fit. Raises
    InvalidArgument for words of another text."""
    tokens = [
        Token(number, word.text, letters_of(word.text), round(word.start * 1000), round(word.end * 1000))
        for number, word in enumerate(requested)
    ]
    letters = Letters(cues)
    lettered = [token for token in tokens if token.letters]
    spans = list(align(letters, cues, lettered))
    _check(cues, letters, lettered, spans)
    signs = deque(token for token in tokens if not token.letters)
    told = [_left_out(span) for span in spans if span.first == span.end]
    words: list[list[Word]] = []
    for number, (cue, found) in enumerate(zip(cues, _by_cue(letters, spans), strict=True), 1):
        timed, lost = _time(cue, letters.places, found, signs)
        words.append(timed)
        told += _warnings(number, lost)
    return words, told[:MAX_WARNINGS]


def _check(cues: Sequence[Cue], letters: Letters, tokens: Sequence[Token], spans: Sequence[Span]) -> None:
    """Raise InvalidArgument, naming the first word that does not fit, if hardly any does."""
    fitting = sum(span.end - span.first for span in spans if span.is_match)
    if fitting >= LEAST_MATCH * sum(len(token.letters) for token in tokens) and tokens:
        return
    odd = next((span for span in spans if span.tokens and not span.is_match), None)
    if odd is None:
        raise InvalidArgument.field("words", "no word has letters; give every word of the subtitles, in order.")
    token, there = odd.tokens[0], ""
    if odd.first < len(letters.text):
        place = letters.places[odd.first]
        there = cues[bisect_right(letters.begins, odd.first) - 1].text[place : place + MAX_ECHO]
    text = f"'{token.text[:MAX_ECHO]}' stands where the subtitles have '{there}'; give every word, in order."
    raise InvalidArgument.field(f"words[{token.number}].text", text)


def _by_cue(letters: Letters, spans: Iterable[Span]) -> list[list[Span]]:
    """Return the spans of each cue; one that reaches into the next is in both."""
    found: list[list[Span]] = [[] for _ in letters.begins[1:]]
    cue = 0
    for span in spans:
        first = span.first
        while first < span.end:
            while letters.begins[cue + 1] <= first:
                cue += 1
            end = min(span.end, letters.begins[cue + 1])
            found[cue].append(replace(span, first=first, end=end))
            first = end
    return found


def _time(
    cue: Cue, places: Sequence[int], spans: Sequence[Span], signs: deque[Token]
) -> tuple[list[Word], dict[str, str]]:
    """Return the words of a cue one after the other in time, and by reason the text that is not lit as was asked.
    `signs` are the tokens without letters that are left, a dash or a note; those of the cue are taken from there."""
    shown = blotted(cue.text)
    bounds = _bounds(shown, places, spans)
    words: list[Word] = []
    known = list(_known_times(cue, spans))
    for group, (begin, end) in _shares(cue, known):
        parts = [part for number in group for part in _parts(cue.text, bounds[number], spans[number])]
        times = shared_times(shown, parts, begin, end)
        words += [Word(*part, *time) for part, time in zip(parts, pairwise(times), strict=True)]
    lit = one_at_a_time([*words, *_signs(cue, shown, bounds, spans, signs)], cue)
    shining = {(word.first, word.end) for word in lit}
    odd = {bound for bound, span in zip(bounds, spans, strict=True) if not span.is_match}
    dark = {(word.first, word.end) for word in words} - shining
    dark |= {bound for bound, span in zip(bounds, spans, strict=True) if _is_outside(cue, span)}
    # Words without length among others are usual in transcripts, and lose nothing.
    if known.count(None) > MOST_UNTIMED * len(spans):
        dark |= {bounds[number] for number, time in enumerate(known) if time is None}
    lost = {"WORDS_UNMATCHED": odd, "WORD_TIMES": dark - odd}
    return lit, {
        reason: " ".join(shown[first:end].replace(BLOT, "") for first, end in sorted(found))
        for reason, found in lost.items()
        if found
    }


def _known_times(cue: Cue, spans: Sequence[Span]) -> Iterator[tuple[int, int] | None]:
    """Yield the time of each span within that of the cue; None where it has none. A time without length lasts until the
    next one begins."""
    for number, span in enumerate(spans):
        if not span.tokens:
            yield None
            continue
        start, end = span.tokens[0].start_ms, span.tokens[-1].end_ms
        if end <= start and number + 1 < len(spans) and spans[number + 1].tokens:
            end = spans[number + 1].tokens[0].start_ms
        start, end = max(start, cue.start_ms), min(end, cue.end_ms)
        yield (start, end) if end > start else None


def _is_outside(cue: Cue, span: Span) -> bool:
    times = [(token.start_ms, token.end_ms) for token in span.tokens]
    return bool(times) and all(end < cue.start_ms or start > cue.end_ms for start, end in times)


def _shares(cue: Cue, known: Sequence[tuple[int, int] | None]) -> list[tuple[list[int], tuple[int, int]]]:
    """Return the numbers of the spans that share a time, and that time: those without one have what lies between two
    others, or a part of what the one before them has."""
    shares: list[tuple[list[int], tuple[int, int]]] = []
    nexts = list(accumulate(reversed(known), lambda then, time: time[0] if time else then, initial=cue.end_ms))
    for number, time in enumerate(known):
        if time is not None:
            shares.append(([number], time))
            continue
        begin, then = shares[-1][1][1] if shares else cue.start_ms, nexts[-1 - number]
        if (number and known[number - 1] is None) or (shares and begin >= then):
            shares[-1][0].append(number)
        else:
            shares.append(([number], (begin, max(begin, then))))
    return shares


def _parts(text: str, bound: tuple[int, int], span: Span) -> list[tuple[int, int]]:
    """Return what lights up at once of a span: all of it where a word fits it, else each of its words."""
    first, end = bound
    return [bound] if span.is_match else [(first + one, first + other) for one, other in split(text[first:end])]


def _bounds(shown: str, places: Sequence[int], spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Return where each span begins and ends in the text, with the signs that touch it."""
    if not spans:
        return []
    whole = range(0) if shown.isascii() else letter_places(shown)
    first = _blank_before(shown, places[spans[0].first])
    bounds: list[tuple[int, int]] = []
    for span, following in pairwise(spans):
        begin = places[span.end - 1] + 1
        end, then = _gap(shown, begin, max(places[following.first], begin), following)
        if end == then and whole and (number := bisect_left(whole, end)) < len(whole):
            end = then = whole[number]
        bounds.append((first, max(end, first)))
        first = then
    last = BLANK.search(shown, places[spans[-1].end - 1])
    return [*bounds, (first, max(last.start() if last else len(shown), first))]


def _blank_before(shown: str, place: int) -> int:
    while place and not shown[place - 1].isspace():
        place -= 1
    return place


def _gap(shown: str, first: int, end: int, following: Span) -> tuple[int, int]:
    """Return where what stands before some signs ends, and where what comes after them begins."""
    signs = shown[first:end]
    if blanks := list(BLANK.finditer(signs)):
        return first + blanks[0].start(), first + blanks[-1].end()
    lead = _lead(following)
    if lead and signs.endswith(lead):
        return end - len(lead), end - len(lead)
    while end > first and (unicodedata.category(shown[end - 1]) in OPENING or shown[end - 1] in INVERTED):
        end -= 1
    return end, end


def _lead(span: Span) -> str:
    """Return the signs that a fitting word begins with, as an apostrophe."""
    text = span.tokens[0].text.lstrip() if span.is_match else ""
    lead = "".join(takewhile(lambda letter: not letters_of(letter), text))
    return "" if unicodedata.category(lead[:1] or " ").startswith("M") else lead


def _signs(
    cue: Cue, shown: str, bounds: Sequence[tuple[int, int]], spans: Sequence[Span], signs: deque[Token]
) -> Iterator[Word]:
    """Yield what of a cue has no letters and stands alone, at the times of the tokens without letters that stand there
    among the others."""
    position, last = 0, -1
    for number in range(len(spans) + 1):
        tokens = spans[number].tokens if number < len(spans) else ()
        while signs and signs[0].number < last:
            signs.popleft()
        for word in ALONE.finditer(shown, position, bounds[number][0] if number < len(spans) else len(shown)):
            is_here = signs and signs[0].start_ms < cue.end_ms and (not tokens or signs[0].number < tokens[0].number)
            if is_here and word[0].strip(BLOT):
                sign = signs.popleft()
                yield Word(*word.span(), sign.start_ms, sign.end_ms)
        if number < len(spans):
            position = bounds[number][1]
            last = tokens[-1].number if tokens else last


def _left_out(span: Span) -> video_pb2.Warning:
    first = span.tokens[0].number
    said = " ".join(token.text.strip() for token in islice(span.tokens, MAX_ECHO))[:MAX_ECHO]
    message = f"words[{first}]: '{said}' is not in the subtitles there, and is left out; give words as they have them."
    return _warning("WORDS_UNMATCHED", message, {"word": str(first), "text": said})


def _warnings(number: int, lost: Mapping[str, str]) -> Iterator[video_pb2.Warning]:
    for reason, text in lost.items():
        message = f"caption {number}: {LOST[reason].format(text[:MAX_ECHO])}"
        yield _warning(reason, message, {"cue": str(number), "text": text[:MAX_ECHO]})


def _warning(reason: str, message: str, metadata: dict[str, str]) -> video_pb2.Warning:
    return video_pb2.Warning(reason=reason, message=message, metadata=metadata)

"""Captions from words: of those that a request gives, of what speech recognizers write, and of captions that are cut
anew. Pure, but for ICU's data."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise, zip_longest

from apigpu.v1 import caption_style_pb2
from encoder.captions.ass import dimensions
from encoder.captions.formats import MARK, Cue, SubtitleError, Subtitles
from encoder.captions.formats.cue import SpokenWord, escape, gather
from encoder.captions.karaoke import Word, blotted, timed_words
from encoder.captions.line_breaks import UNSPACED
from encoder.captions.styles import Style
from encoder.captions.word_grouping import CutRules, Range, TimedWord, group
from servicekit.text import normalize

CueRules = caption_style_pb2.CueRules
CaptionWord = caption_style_pb2.CaptionWord
DEFAULTS = CueRules(max_lines=2, letters_per_line=42, pause_seconds=0.7, sentences=True)
BOLD = CueRules(words_per_line=4)
PRESETS: Mapping[int, CueRules] = {
    Style.PRESET_BOLD: BOLD,
    Style.PRESET_KARAOKE: BOLD,
    Style.PRESET_UNDERLINE: BOLD,
    Style.PRESET_WORD: CueRules(words_per_line=1, max_lines=1),
    Style.PRESET_POP: CueRules(words_per_line=3, max_lines=1),
}
"""What presets of styles change of DEFAULTS."""
# How wide a letter is on average, by the height of its line.
LETTER_WIDTH, BOLD_WIDTH, CAPITALS = 0.44, 0.48, 1.2
LEAST_LETTERS = 8
# A caption stays for a moment that is shorter than this, if another one follows: it would flicker.
BRIEF_MS = 300
# Half a day of speech.
MAX_WORDS = 100_000
# So many marks about a word are kept; no text has more of its own.
MAX_MARKS = 8
# What stands behind a word without a blank, where recognizers give it as a word of its own.
CLITIC = re.compile(r"['’](?:s|t|re|ve|ll|d|m)\b", re.IGNORECASE)
CLOSING = ("Pe", "Pf", "Po")
OPENING = "¿¡#@&*\"'"
EXAMPLE = '{"text": "Hello", "start": 0.0, "end": 0.4}'


@dataclass(frozen=True)
class CutWord:
    """A word of a caption with its marks, as it is counted, and the caption that it is of."""

    text: str
    word: TimedWord
    cue: Cue


def complete_rules(requested: CueRules, style: Style, width: int, height: int) -> CutRules:
    """Return rules with all that the request leaves to the preset of a style, and to the room that a picture has."""
    rules = CueRules()
    for part in (DEFAULTS, PRESETS.get(style.preset, CueRules()), requested):
        rules.MergeFrom(part)
    if not requested.HasField("letters_per_line"):
        look = dimensions(style, width, height)
        letter = (BOLD_WIDTH if style.bold else LETTER_WIDTH) * (CAPITALS if style.capitals else 1)
        rules.letters_per_line = max(min(rules.letters_per_line, int(look.room / look.size / letter)), LEAST_LETTERS)
    return CutRules(
        words_per_line=rules.words_per_line or None,
        max_lines=rules.max_lines,
        letters_per_line=rules.letters_per_line,
        pause_ms=round(rules.pause_seconds * 1000),
        at_sentences=rules.sentences,
        is_filled=requested.HasField("words_per_line"),
    )


def subtitles_of(words: Iterable[CaptionWord]) -> Subtitles:
    """Return the words of a request as captions of one word each, to be cut. Raises SubtitleError."""
    spoken = [
        SpokenWord(normalize("NFC", word.text), round(word.start * 1000), round(word.end * 1000)) for word in words
    ]
    begins = [*(word.start_ms for word in spoken[1:]), 0]
    cues = (
        _one_word(number, _lasting(word, then)) for number, (word, then) in enumerate(zip(spoken, begins, strict=True))
    )
    return gather(cues, EXAMPLE)


def _lasting(word: SpokenWord, then: int) -> SpokenWord:
    """Return a word that lasts until the next one, if it has no length of its own."""
    return word if word.end_ms != word.start_ms else replace(word, end_ms=max(then, word.start_ms + 1))


def _one_word(number: int, word: SpokenWord) -> Cue:
    text = escape(" ".join(word.text.split()))
    return Cue(word.start_ms, word.end_ms, text, name=f"words[{number}]", spoken=(word,))


def cut(cues: Sequence[Cue], words: Iterable[Sequence[Word]], rules: CutRules) -> tuple[list[Cue], list[list[Word]]]:
    """Return captions cut anew by rules, and the words of each; `words` are those of the given captions, if they are
    known. What a speech recognizer wrote is one text; other captions are divided, and never joined."""
    parts = list(islice(_parts(cues, words), MAX_WORDS + 1))
    if len(parts) > MAX_WORDS:
        raise SubtitleError(f"it has more than {MAX_WORDS:,} words to make captions of; give it in parts.")
    made = [_caption(parts, lines) for lines in group([part.word for part in parts], rules)]
    return _without_flicker([cue for cue, _ in made]), [timed for _, timed in made]


def _parts(cues: Sequence[Cue], words: Iterable[Sequence[Word]]) -> Iterator[CutWord]:
    spoken = [word for cue in cues for word in cue.spoken]
    has_blanks = sum(word.text[:1].isspace() or word.text[-1:].isspace() for word in spoken) * 2 > len(spoken)
    before: CutWord | None = None
    for cue, given in zip_longest(cues, words, fillvalue=()):
        assert isinstance(cue, Cue)
        is_text = bool(cue.spoken) and not given
        made = _of_spoken(cue, before, has_blanks=has_blanks) if is_text else _of_marked(cue, given or timed_words(cue))
        for part in made:
            yield part
            before = part if is_text else None


def _of_spoken(cue: Cue, before: CutWord | None, *, has_blanks: bool) -> Iterator[CutWord]:
    ended = before.word.text if before else ""
    is_first, had_blank = True, True
    for word in cue.spoken:
        text = " ".join(word.text.split())
        if not text:
            had_blank = True
            continue
        is_joined = not (had_blank or word.text[:1].isspace()) if has_blanks else _is_joined(ended, text)
        begins = is_first and before is None
        timed = TimedWord(text, word.start_ms, word.end_ms, is_joined and bool(ended), begins)
        yield CutWord(escape(text), timed, cue)
        is_first, had_blank, ended = False, word.text[-1:].isspace(), text


def _is_joined(before: str, text: str) -> bool:
    """Return True if no blank stands between two words as recognizers write them that give no blanks."""
    if UNSPACED.match(before[-1:]) and UNSPACED.match(text):
        return True
    if CLITIC.match(text):
        return True
    return unicodedata.category(text[0]) in CLOSING and text[0] not in OPENING


def _of_marked(cue: Cue, words: Sequence[Word]) -> Iterator[CutWord]:
    """Yield the words of a caption of a file, all of its text in them, each with the marks that it stands in."""
    shown = blotted(cue.text)
    words = sorted(words, key=lambda word: word.first)
    bounds = [0, *(word.first for word in words[1:]), len(shown)]
    last_place = len(words) - 1
    open_marks: list[str] = []
    for place, (word, (first, end)) in enumerate(zip(words, pairwise(bounds), strict=True)):
        text = _balanced(cue.text[first:end], open_marks)
        plain = " ".join(MARK.sub("", text).split())
        if not plain:
            continue
        timed = TimedWord(
            plain,
            word.start_ms if place else cue.start_ms,
            word.end_ms if place < last_place else cue.end_ms,
            is_joined=place > 0 and not shown[first - 1].isspace(),
            begins=place == 0,
        )
        yield CutWord(text, timed, cue)


def _balanced(text: str, open_marks: list[str]) -> str:
    """Return a part of a text in a line, with the marks that are open at its beginning, all closed at its end. Changes
    `open_marks`, the innermost of which is the last, to those that are open there."""
    opening = "".join(open_marks[-MAX_MARKS:])
    for match in MARK.finditer(text):
        if not match["closing"]:
            open_marks.append(match[0])
        elif open_marks:
            open_marks.pop()
    closing = (MARK.sub(r"</\g<tag>>", mark) for mark in reversed(open_marks[-MAX_MARKS:]))
    return "".join([opening, " ".join(text.split()), *closing])


def _caption(parts: Sequence[CutWord], lines: Sequence[Range]) -> tuple[Cue, list[Word]]:
    """Return the caption of some lines of words, and its words."""
    texts: list[str] = []
    words: list[Word] = []
    at = 0
    for first, end in lines:
        for place in range(first, end):
            part = parts[place]
            blank = "\n" if place == first and texts else "" if part.word.is_joined or not texts else " "
            at += len(blank)
            words.append(Word(at, at + len(part.text), part.word.start_ms, part.word.end_ms))
            if not blank and len(words) > 1 and unicodedata.category(part.word.text[0]).startswith("M"):
                # A letter and its mark light up together.
                mark = words.pop()
                words[-1] = replace(words[-1], end=mark.end, end_ms=mark.end_ms)
            at += len(part.text)
            texts += [blank, part.text]
    said = parts[lines[0][0] : lines[-1][1]]
    cue = Cue(
        min(part.word.start_ms for part in said),
        max(part.word.end_ms for part in said),
        "".join(texts),
        place=said[0].cue.place,
        name=said[0].cue.name,
        spoken=said[0].cue.spoken,
    )
    return cue, words


def _without_flicker(cues: Sequence[Cue]) -> list[Cue]:
    """Return captions of which none of what was spoken overlaps the next one, or ends shortly before it."""
    ends = [
        then.start_ms
        if cue.start_ms < then.start_ms < cue.end_ms + BRIEF_MS and (cue.spoken or then.start_ms >= cue.end_ms)
        else cue.end_ms
        for cue, then in pairwise(cues)
    ]
    return [
        replace(cue, end_ms=end) for cue, end in zip(cues, [*ends, *(cue.end_ms for cue in cues[-1:])], strict=True)
    ]

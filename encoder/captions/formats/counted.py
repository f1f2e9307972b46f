"""Subtitles that count frames or tenths of seconds: MicroDVD (`{0}{25}`), where it says how long a frame is, and MPL2
(`[0][25]`)."""

import re
from collections.abc import Iterator
from itertools import pairwise

from encoder.captions.formats.cue import MAX_ECHO, Cue, LeftOut, SubtitleError, Subtitles, gather, name_cue
from encoder.captions.formats.markup import read_marks

FRAMES = re.compile(r"\s*\{(\d{1,9})\}\{(\d{0,9})\}(.*)")
TENTHS = re.compile(r"\s*\[(\d{1,9})\]\[(\d{0,9})\](.*)")
# The first line of MicroDVD may say how many frames are in a second.
RATE = re.compile(r"\s*\{[01]\}\{[01]?\}\s*(\d{1,3}(?:[.,]\d{1,6})?)\s*(?:fps)?\s*", re.IGNORECASE)
TENTHS_PER_SECOND = 10.0
EXAMPLES = {FRAMES: "{25}{100}", TENTHS: "[10][40]"}
# How long a caption stands that has no end, where none follows.
LAST_MS = 5000
NO_RATE = (
    "it is MicroDVD, which counts frames, and does not say how many are in a second; put a line like '{1}{1}25' first, "
    "or give SubRip (.srt)."
)


def matches(text: str) -> bool:
    """Return True if the first line of text has two counts in brackets."""
    first = text.lstrip().split("\n", 1)[0]
    return FRAMES.fullmatch(first) is not None or TENTHS.fullmatch(first) is not None


def parse(text: str) -> Subtitles:
    """Return the cues of a file, in its order. Raises SubtitleError."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    form = FRAMES if FRAMES.fullmatch(lines[0][1]) else TENTHS
    rate = TENTHS_PER_SECOND
    if form is FRAMES:
        said = RATE.fullmatch(lines.pop(0)[1])
        rate = float(said[1].replace(",", ".")) if said else 0.0
        if not rate:
            raise SubtitleError(NO_RATE)
    ignored: set[str] = set()
    return gather(_cues(lines, form, rate, ignored), EXAMPLES[form], ignored)


def _cues(
    lines: list[tuple[int, str]], form: re.Pattern[str], rate: float, ignored: set[str]
) -> Iterator[Cue | LeftOut]:
    """Yield the cues of lines that count `rate` a second."""
    for count, ((number, line), (_, following)) in enumerate(pairwise([*lines, (0, "")]), 1):
        match, after = form.fullmatch(line), form.fullmatch(following)
        name = name_cue(count, number, line[:MAX_ECHO])
        if match is None:
            yield LeftOut(name, f"does not begin with times like {EXAMPLES[form]}")
            continue
        start = round(int(match[1]) * 1000 / rate)
        end = round(int(match[2]) * 1000 / rate) if match[2] else start + LAST_MS
        if not match[2] and after:
            end = min(end, round(int(after[1]) * 1000 / rate))
        # MPL2 has a slash before a line in italics.
        words = [f"<i>{part[1:]}</i>" if part.startswith("/") else part for part in match[3].split("|")]
        marked = read_marks("\n".join(words))
        ignored |= marked.ignored
        yield Cue(start, end, marked.text, marked.word_times, marked.place, name)

"""WebVTT (W3C, https://www.w3.org/TR/webvtt1/) to cues: marks, styles of classes, places, regions and the times of
words are kept.

A cue ends at an empty line: one of blanks is a line of its text.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from encoder.captions.formats import vtt_boxes, vtt_styles
from encoder.captions.formats.clock import parse_times
from encoder.captions.formats.cue import MAX_ECHO, Cue, LeftOut, Subtitles, gather, name_cue
from encoder.captions.formats.markup import read_marks

HEAD = re.compile(r"WEBVTT(?:[ \t].*)?")
LANGUAGE = re.compile(r"Language:\s*([A-Za-z0-9-]{2,35})\s*", re.IGNORECASE)
# What blocks without times begin with; X-TIMESTAMP-MAP stands in parts of streams.
KINDS = ("NOTE", "STYLE", "REGION", "WEBVTT", "X-TIMESTAMP-MAP")
EXAMPLE = "00:01.000 --> 00:04.000"
MAX_REGIONS = 1000
VERTICAL = "vertical"


@dataclass
class _File:
    """What the blocks before the cues say, and what is met that is not obeyed."""

    regions: dict[str, vtt_boxes.Region] = field(default_factory=dict)
    styles: dict[str, list[str]] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)


def matches(text: str) -> bool:
    """Return True if a file says that it is WebVTT."""
    return HEAD.fullmatch(text.split("\n", 1)[0]) is not None


def parse(text: str) -> Subtitles:
    """Return the cues of a file, in its order. Raises SubtitleError."""
    file = _File()
    blocks = _blocks(text.splitlines())
    head = next(blocks)[1]
    language = next((match[1] for line in head if (match := LANGUAGE.fullmatch(line))), "")
    return gather(_cues(blocks, file), EXAMPLE, file.ignored, language)


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield what stands between empty lines as (the line number of its first, its lines). Times begin a block of their
    own, as the empty line above them may be missing."""
    block: list[str] = []
    first = 1
    for number, line in enumerate(itertools.chain(lines, [""]), 1):
        starts = _has_arrow(line)
        if block and (not line or (starts and not _is_name(block))):
            yield first, block[:-1] if starts and block[-1].strip().isdecimal() else block
            block = []
        if line:
            first = first if block else number
            block.append(line)


def _has_arrow(line: str) -> bool:
    return "-->" in line or parse_times(line) is not None


def _is_name(block: list[str]) -> bool:
    """Return True for the one line above times that names a cue."""
    return len(block) == 1 and not _has_arrow(block[0]) and not block[0].startswith(KINDS)


def _cues(blocks: Iterator[tuple[int, list[str]]], file: _File) -> Iterator[Cue | LeftOut]:
    count = 0
    for line, block in blocks:
        times = next((at for at, shown in enumerate(block[:2]) if _has_arrow(shown)), None)
        if times is not None:
            count += 1
            yield _cue(name_cue(count, line + times, block[times]), block[times:], file)
        elif block[0].startswith(KINDS):
            _read_block(block, file)
        elif any(map(str.strip, block)):
            yield LeftOut(f"line {line}", f"has no times ('{block[0].strip()[:MAX_ECHO]}')")


def _read_block(block: list[str], file: _File) -> None:
    kind = block[0].split()[0]
    if kind == "STYLE":
        file.styles |= vtt_styles.read_styles("\n".join(block[1:]))
    elif kind.startswith("REGION") and len(file.regions) < MAX_REGIONS:
        name, region = vtt_boxes.read_region([block[0].removeprefix("REGION"), *block[1:]])
        file.regions[name] = region


def _cue(name: str, block: list[str], file: _File) -> Cue | LeftOut:
    times = parse_times(block[0])
    if times is None:
        return LeftOut(name, f"has times that are not like '{EXAMPLE}'")
    marked = read_marks("\n".join(block[1:]), file.styles)
    settings = vtt_boxes.read_settings(times.rest.split())
    file.ignored |= marked.ignored | ({VERTICAL} if VERTICAL in settings else set())
    place = marked.place
    if settings and place.row is None:
        place = vtt_boxes.place_cue(settings, file.regions, marked.text.count("\n") + 1)
    return Cue(times.start_ms, times.end_ms, marked.text, marked.word_times, place, name)

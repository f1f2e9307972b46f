"""WebVTT (W3C, https://www.w3.org/TR/webvtt1/) to cues: marks, class colors, places and the times of words are kept.

Styles, regions, voices, languages and ruby are left out. Marks are handed on as SubRip's.
"""

import html
import re
from collections.abc import Iterator, Mapping

from encoder.captions.formats.subrip import ARROW, Cue, SubtitleError, check_text, shown_cues

HEAD = re.compile(r"WEBVTT(?:[ \t].*)?")
CLOCK = re.compile(r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})")
TOKEN = re.compile(r"<([^<>]*)>")
KEPT = ("b", "i", "u")
# The default classes of the standard, 5.
COLORS = ("white", "lime", "cyan", "red", "yellow", "magenta", "blue", "black")
EXAMPLE = "00:01.000 --> 00:04.000"
NO_BREAK = "\u2060"
# The number of a letter that cannot be: Python takes long ones for an error, after reading them for long.
NO_LETTER = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")
REPLACEMENT = "\ufffd"
MIDDLE, MIDDLE_LINE = 50.0, 8
PERCENT, LINE_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?%"), re.compile(r"\d{1,9}")


def matches(text: str) -> bool:
    """Return True if a file says that it is WebVTT."""
    return HEAD.fullmatch(text.lstrip("\ufeff").split("\n", 1)[0].rstrip("\r")) is not None


def parse(text: str) -> list[Cue]:
    """Return the cues of a file, in its order; those without text or length are left out. Raises SubtitleError."""
    blocks = _blocks(text.lstrip("\ufeff").splitlines())
    return shown_cues((_cue(count, line, block) for count, (line, block) in enumerate(blocks, 1)), EXAMPLE)


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield each cue as (the line number of its times, its lines from the times on). What has no times is a comment, a
    style, a region or the head."""
    block: list[str] = []
    first = 0
    for number, line in enumerate([*lines, ""], 1):
        if ARROW in line or not line.strip():
            if block:
                yield first, block
            block = []
        if ARROW in line:
            first, block = number, [line]
        elif block:
            block.append(line)


def _cue(count: int, line: int, block: list[str]) -> Cue:
    before, _, after = block[0].partition(ARROW)
    parts = after.split()
    start, end = _milliseconds(before.strip()), _milliseconds(parts[0] if parts else "")
    where = f"caption {count}, line {line}"
    if start is None or end is None:
        raise SubtitleError(f"{where}: '{block[0].strip()[:60]}' is not like '{EXAMPLE}'.")
    if end < start:
        raise SubtitleError(f"{where}: it ends before it starts ('{block[0].strip()[:60]}').")
    check_text(where, block)
    text, times = _text("\n".join(block[1:]))
    place = _place(dict(part.split(":", 1) for part in parts[1:] if ":" in part))
    return Cue(start, end, place + text, tuple((at + len(place), when) for at, when in times))


def _milliseconds(clock: str) -> int | None:
    match = CLOCK.fullmatch(clock)
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + int(match[4].ljust(3, "0"))


def _text(words: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the text with SubRip's marks, and the places in it from which on a time counts."""
    parts: list[str] = []
    length, position, open_colors = 0, 0, 0
    times: list[tuple[int, int]] = []
    for match in TOKEN.finditer(words):
        before = _plain(words[position : match.start()])
        position = match.end()
        time = _milliseconds(match[1])
        mark, open_colors = ("", open_colors) if time is not None else _mark(match[1], open_colors)
        parts += [before, mark]
        length += len(before) + len(mark)
        if time is not None:
            times.append((length, time))
    return "".join([*parts, _plain(words[position:])]).rstrip(), times


def _mark(tag: str, open_colors: int) -> tuple[str, int]:
    """Return SubRip's mark for a tag, "" for one that has none, and how many colors are open then."""
    name, *classes = tag.split(maxsplit=1)[0].split(".") if tag.strip() else [""]
    color = next((color for color in classes if color in COLORS), "")
    if name.lstrip("/") in KEPT:
        return f"<{name}>", open_colors
    if color:
        return f'<font color="{color}">', open_colors + 1
    if name == "/c" and open_colors:
        return "</font>", open_colors - 1
    return "", open_colors


def _plain(words: str) -> str:
    # Nothing of it is a mark: a joiner keeps what was escaped from looking like one.
    shown = html.unescape(NO_LETTER.sub(REPLACEMENT, words))
    return shown.replace("<", "<" + NO_BREAK).replace("{\\", "{" + NO_BREAK + "\\")


def _place(settings: Mapping[str, str]) -> str:
    """Return SubRip's mark of the place in the settings: the upper, middle or lower third, left, center or right."""
    line, align = settings.get("line", "").split(",")[0], settings.get("align", "")
    column = {"start": 0, "left": 0, "end": 2, "right": 2}.get(align, 1)
    row = 0
    if line.endswith("%"):
        share = float(line[:-1]) if PERCENT.fullmatch(line) else 100.0
        row = 2 if share < MIDDLE * 2 / 3 else 1 if share < MIDDLE * 4 / 3 else 0
    elif LINE_NUMBER.fullmatch(line):  # counted from the top; from the bottom when negative
        row = 2 if int(line) < MIDDLE_LINE else 0
    number = row * 3 + column + 1
    return "" if number == 2 else f"{{\\an{number}}}"

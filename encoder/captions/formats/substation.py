"""ASS and SSA (SubStation Alpha), which have a look of their own. libass reads them; this finds the fonts and letters
that they need.

Files that are packed into a script, fonts and pictures, are left out of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from encoder.captions.formats.clock import parse_clock
from encoder.captions.formats.cue import (
    BACKWARDS,
    MAX_ECHO,
    NO_TIME,
    LeftOut,
    SubtitleError,
    check_count,
    check_left,
    name_cue,
)

SECTION = re.compile(r"\[([^\[\]]+)\]\s*")
STYLES = ("v4 styles", "v4+ styles")
EVENTS = "events"
PACKED = ("fonts", "graphics")
OVERRIDE = re.compile(r"(\{[^{}]*\})")
FONT = re.compile(r"\\fn([^\\}]*)")
DRAWING = re.compile(r"\\p[1-9]")
BREAK = re.compile(r"\\[Nnh]")
# Where the font stands in a style, and the text and the times in an event, of scripts that do not say it.
FONT_PLACE, TEXT_PLACE = 1, 9
TIME_PLACES = 1, 2
# What libass asks for where a style names no font, and where a caption's style is not there and none is called Default.
UNNAMED = "Arial"
DEFAULT_STYLE = re.compile(r":\s*\**Default\s*,")


@dataclass(frozen=True)
class Line:
    """A line of a script: its section in small letters, and its value between what stands before and after it: the font
    of a style, the text of a caption; "" for any other line. `times` are those of a caption, as they stand."""

    section: str
    before: str
    value: str = ""
    after: str = ""
    times: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class ShownEvent:
    """When a caption of a script is shown, in milliseconds, its name in the file, and its text with commands."""

    name: str
    start_ms: int
    end_ms: int
    value: str = ""

    @property
    def text(self) -> str:
        """The text without commands, line by line; of drawings nothing."""
        shown = "" if DRAWING.search(self.value) else OVERRIDE.sub("", self.value)
        return BREAK.sub(" ", shown.replace("\\N", "\n"))


@dataclass(frozen=True)
class Script:
    """A script; its captions are counted from 1 in the order of the file."""

    lines: tuple[Line, ...]
    events: tuple[ShownEvent, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def captions(self) -> list[str]:
        """Return the text of each caption, without commands; of drawings nothing."""
        return [_plain_text(line.value) for line in self.lines if line.section == EVENTS and line.value]

    def families(self) -> list[str]:
        """Return the families of fonts that it takes to draw the script."""
        styles = [line.before for line in self.lines if line.section in STYLES and line.value]
        unnamed = [] if any(map(DEFAULT_STYLE.search, styles)) else [UNNAMED]
        return list(dict.fromkeys([*unnamed, *self.named_families()]))

    def named_families(self) -> list[str]:
        """Return the families of fonts that the script names."""
        named = [line.value for line in self.lines if line.section in STYLES and line.value]
        named += [name for line in self.lines if line.section == EVENTS for name in FONT.findall(line.value)]
        return [name for name in dict.fromkeys(_family(name) for name in named) if name]

    def translate(self, table: Mapping[int, str | None], finish: Callable[[str], str] = str) -> str:
        """Return the script with its visible text changed by a table of str.translate, and the text of each caption,
        commands and all, by `finish` after that."""
        lines = (_translate_line(line, table, finish) for line in self.lines if line.section not in PACKED)
        return "\n".join([*lines, ""])


def matches(text: str) -> bool:
    """Return True if a file has the sections of a script."""
    sections = (SECTION.fullmatch(line.strip()) for line in text.splitlines())
    return any(match and match[1].lower() in (*STYLES, EVENTS, "script info") for match in sections)


def parse(text: str) -> Script:
    """Read a script. Raises SubtitleError."""
    lines = tuple(_lines(text))
    found = [(number, line) for number, line in enumerate(lines, 1) if line.section == EVENTS and line.value]
    check_count(len(found))
    if not found:
        raise SubtitleError("there are no captions in it; a caption is a line 'Dialogue: …' under [Events].")
    events = [
        _event(name_cue(count, number, ",".join(line.times)), line) for count, (number, line) in enumerate(found, 1)
    ]
    left_out = tuple(event for event in events if isinstance(event, LeftOut))
    if len(left_out) == len(events):
        check_left(left_out)
    return Script(lines, tuple(event for event in events if isinstance(event, ShownEvent)), left_out)


def _event(name: str, line: Line) -> ShownEvent | LeftOut:
    """Return when a caption is shown, or why it is not: libass, which draws it, sees to the rest."""
    start, end = (parse_clock(time.strip()) for time in line.times)
    if start is None or end is None:
        return LeftOut(name, "has times that are not like '0:00:01.00,0:00:04.00'")
    if end <= start:
        return LeftOut(name, BACKWARDS if end < start else NO_TIME)
    return ShownEvent(name, start, end, line.value)


def _lines(text: str) -> Iterator[Line]:
    section, place, times = "", 0, TIME_PLACES
    for line in text.splitlines():
        if match := SECTION.fullmatch(line.strip()):
            section = match[1].lower()
            place, times = TEXT_PLACE if section == EVENTS else FONT_PLACE, TIME_PLACES
        kind, colon, rest = line.partition(":")
        kind, fields = kind.strip().lower(), [part.strip().lower() for part in rest.split(",")]
        if kind == "format" and section in (*STYLES, EVENTS):
            wanted = "text" if section == EVENTS else "fontname"
            place = fields.index(wanted) if wanted in fields else place
            if "start" in fields and "end" in fields:
                times = fields.index("start"), fields.index("end")
        if colon and ((section in STYLES and kind == "style") or (section == EVENTS and kind == "dialogue")):
            yield _split_line(section, line, colon, place, times)
        else:
            yield Line(section, line)


def _split_line(section: str, line: str, colon: str, place: int, times: tuple[int, int]) -> Line:
    head, _, rest = line.partition(colon)
    parts = rest.split(",", place)
    if len(parts) <= place:
        return Line(section, line)
    before = head + colon + "".join(part + "," for part in parts[:place])
    if section not in STYLES:
        start, end = (parts[at].strip()[:MAX_ECHO] if at < place else "" for at in times)
        return Line(section, before, parts[place], times=(start, end))
    font, comma, after = parts[place].partition(",")
    return Line(section, before, font if _family(font) else UNNAMED, comma + after)


def _family(name: str) -> str:
    # A leading @ turns the letters.
    return name.strip().lstrip("@")


def _plain_text(text: str) -> str:
    return "" if DRAWING.search(text) else BREAK.sub(" ", OVERRIDE.sub("", text))


def _translate_line(line: Line, table: Mapping[int, str | None], finish: Callable[[str], str]) -> str:
    if line.section != EVENTS:
        return line.before + line.value + line.after
    parts = OVERRIDE.split(line.value)
    text = "".join(part if part.startswith("{") else part.translate(table) for part in parts)
    return line.before + finish(text)

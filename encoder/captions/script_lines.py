"""Lines of a script (ASS, SSA) that leave the picture: told, not changed, as their author placed them.

Only what stands still is judged: a line that moves, turns or is drawn may well begin or end outside.

Source: the specifications of SSA v4 and ASS, and what libass takes where a script leaves a size out.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from apigpu.v1 import video_pb2
from encoder.captions.ass import EVENT_FIELDS, LINE_FIELDS
from encoder.captions.formats import Script
from encoder.captions.formats.substation import EVENTS, OVERRIDE, STYLES, UNNAMED
from encoder.captions.measuring import TextMeasurer

DEFAULT_WIDTH, DEFAULT_HEIGHT = 384, 288
NOT_JUDGED = re.compile(r"\\(?:move|t\s*\(|fr|fax|fay|org|i?clip|p[1-9]|pbo)", re.IGNORECASE)
TAG = re.compile(r"\\(fn|fscx|fsp|fs|an|a|b|i|q|r|pos)(\([^()]*\)|[^\\(){}]*)")
NUMBER = re.compile(r"[+-]?\d{1,7}(?:\.\d{0,7})?")
BREAKS = re.compile(r"\\[Nn]")
UNWRAPPED = "2"
MAX_WARNINGS = 40
# Of the width of the picture: what the measures may be off by.
SLACK = 0.01
# Fields of styles and events in scripts that do not name them.
NAMELESS = {EVENTS: EVENT_FIELDS, **dict.fromkeys(STYLES, LINE_FIELDS)}


@dataclass(frozen=True)
class Look:
    """What decides where letters stand, in units of the script; `column` is 0 at the left, 1 in the middle, 2 at the
    right."""

    font: str = UNNAMED
    size: float = 18.0
    bold: bool = False
    italic: bool = False
    scale_x: float = 100.0
    spacing: float = 0.0
    column: int = 1
    margins: tuple[float, float] = (20.0, 20.0)
    wraps: bool = True
    at: tuple[float, float] | None = None


@dataclass(frozen=True)
class MeasuredWord:
    """A word of a script in pixels, and the blank after it."""

    height: float
    width: float
    blank: float


class ScriptJudge:
    """Tells which captions leave a picture of `width` × `height` square pixels. `measurer` returns what measures text
    in the fonts of a family."""

    def __init__(self, measurer: Callable[[str], TextMeasurer], width: int, height: int) -> None:
        self._measurer = measurer
        self._size = width, height
        self._units: tuple[float, float] = DEFAULT_WIDTH, DEFAULT_HEIGHT
        self._wraps = True
        self._styles: dict[str, Look] = {}

    def warnings(self, script: Script) -> list[video_pb2.Warning]:
        """Return a warning for each caption, counted from 1, that leaves the picture; at most MAX_WARNINGS."""
        found: list[video_pb2.Warning] = []
        for number, (look, text) in enumerate(self._captions(script), 1):
            if not NOT_JUDGED.search(text) and self._leaves(look, text):
                advice = "break it by \\N, make its letters smaller, or move it"
                message = f"caption {number}: part of it is outside the picture; {advice}."
                found.append(video_pb2.Warning(reason="CAPTION_CUT", message=message, metadata={"cue": str(number)}))
            if len(found) == MAX_WARNINGS:
                break
        return found

    def _captions(self, script: Script) -> Iterator[tuple[Look, str]]:
        """Yield the look that each caption begins with, and its text."""
        head: dict[str, str] = {}
        fields = {section: names.lower().split(", ") for section, names in NAMELESS.items()}
        for line in script.lines:
            kind, _, rest = (line.before + line.value + line.after).partition(":")
            kind = kind.strip().lower()
            if line.section == "script info":
                head[kind] = rest.strip()
                self._read_head(head)
            elif kind == "format" and line.section in fields:
                fields[line.section] = [name.strip().lower() for name in rest.split(",")]
            elif line.value and line.section in fields:
                names = fields[line.section]
                values = dict(zip(names, map(str.strip, rest.split(",", len(names) - 1)), strict=False))
                if line.section == EVENTS:
                    # An effect may move a line, as a banner.
                    yield self._begin(values), "" if values.get("effect") else line.value
                else:
                    look = _style(values, is_old=line.section == STYLES[0], wraps=self._wraps)
                    self._styles[values.get("name", "").lstrip("*").casefold()] = look

    def _read_head(self, head: Mapping[str, str]) -> None:
        width, height = (_number(head.get(name, "")) for name in ("playresx", "playresy"))
        self._units = (
            width or (height * DEFAULT_WIDTH / DEFAULT_HEIGHT or DEFAULT_WIDTH),
            height or (width * DEFAULT_HEIGHT / DEFAULT_WIDTH or DEFAULT_HEIGHT),
        )
        self._wraps = head.get("wrapstyle") != UNWRAPPED

    def _begin(self, values: Mapping[str, str]) -> Look:
        look = self._style_named(values.get("style", "")) or Look(wraps=self._wraps)
        left, right = (_number(values.get(name, "")) for name in ("marginl", "marginr"))
        return replace(look, margins=(left or look.margins[0], right or look.margins[1]))

    def _style_named(self, name: str) -> Look | None:
        return self._styles.get(name.lstrip("*").casefold(), self._styles.get("default"))

    def _leaves(self, look: Look, text: str) -> bool:
        """Return True if a caption is drawn outside the picture, in part or as a whole."""
        tags = [tag for part in OVERRIDE.findall(text) for tag in TAG.findall(part)]
        # These count for the whole of it, wherever they stand.
        for name, value in tags:
            look = self._placed(look, name, value)
        height, widest = 0.0, 0.0
        for line in self._lines(look, text):
            total = sum(word.width + word.blank for word in line)
            rows = max(-(-total // self._room(look)), 1) if look.wraps else 1
            widest = max(widest, total / rows, *(word.width for word in line))
            height += rows * max((word.height for word in line), default=0.0)
        return self._is_outside(look, widest, height)

    def _room(self, look: Look) -> float:
        return max(self._size[0] * (1 - sum(look.margins) / self._units[0]), 1.0)

    def _is_outside(self, look: Look, width: float, height: float) -> bool:
        """Return True for a block of letters of this size in pixels that leaves the picture."""
        if not width:
            return False
        along = self._size[0] / self._units[0]
        left, right = look.margins[0] * along, self._size[0] - look.margins[1] * along
        x = look.at[0] * along if look.at else (left, (left + right) / 2, right)[look.column]
        first = x - width * (0, 0.5, 1)[look.column]
        slack = SLACK * self._size[0]
        if look.at and not 0 <= look.at[1] <= self._units[1]:
            return True
        return first < -slack or first + width > self._size[0] + slack or height > self._size[1]

    def _lines(self, look: Look, text: str) -> Iterator[list[MeasuredWord]]:
        """Yield the words of each line of a caption as it is written; a line that does not wrap is one word."""
        first = look
        line: list[MeasuredWord] = []
        for part in OVERRIDE.split(text):
            if part.startswith("{"):
                for name, value in TAG.findall(part):
                    look = self._styled(look, first, name, value)
                continue
            for number, shown in enumerate(BREAKS.split(part)):
                if number:
                    yield line
                    line = []
                line += self._words(look, shown)
        yield line

    def _words(self, look: Look, text: str) -> Iterator[MeasuredWord]:
        measurer, scale = self._measurer(look.font.lstrip("@")), self._size[1] / self._units[1]
        shown = text.replace("\\h", "\u00a0")
        words = shown.split(" ") if look.wraps else [shown]
        for number, word in enumerate(words, 1):
            width, blank = (
                measurer.width(part, bold=look.bold, italic=look.italic) * look.size + look.spacing * len(part)
                for part in (word, " ")
            )
            across = scale * look.scale_x / 100
            yield MeasuredWord(look.size * scale, width * across, blank * across if number < len(words) else 0.0)

    def _placed(self, look: Look, name: str, value: str) -> Look:
        numbers = [_number(part) for part in value.strip("()").split(",")]
        if name == "pos" and len(numbers) == 2:
            return replace(look, at=(numbers[0], numbers[1]))
        if name == "an" and 1 <= numbers[0] <= 9:
            return replace(look, column=int(numbers[0] - 1) % 3)
        if name == "a" and int(numbers[0]) % 4:
            return replace(look, column=int(numbers[0]) % 4 - 1)
        return replace(look, wraps=value.strip() != UNWRAPPED) if name == "q" else look

    def _styled(self, look: Look, first: Look, name: str, value: str) -> Look:
        """Return the look that a tag makes of one; `first` is that of the style."""
        number = _number(value)
        match name:
            case "fn":
                return replace(look, font=value.strip() or first.font)
            case "fs" if value.strip()[:1] not in ("+", "-"):
                return replace(look, size=number or first.size)
            case "fscx":
                return replace(look, scale_x=number or first.scale_x)
            case "fsp":
                return replace(look, spacing=number)
            case "b":
                return replace(look, bold=number == 1 or number >= 600)
            case "i":
                return replace(look, italic=number == 1)
            case "r":
                return self._style_named(value.strip()) or first if value.strip() else first
        return look


def _style(values: Mapping[str, str], *, is_old: bool, wraps: bool) -> Look:
    alignment = int(_number(values.get("alignment", "2")))
    return Look(
        font=values.get("fontname") or UNNAMED,
        size=_number(values.get("fontsize", "")) or Look.size,
        bold=_number(values.get("bold", "")) != 0,
        italic=_number(values.get("italic", "")) != 0,
        scale_x=_number(values.get("scalex", "")) or Look.scale_x,
        spacing=_number(values.get("spacing", "")),
        column=max(alignment % 4 - 1, 0) if is_old else (alignment - 1) % 3,
        margins=(_number(values.get("marginl", "")), _number(values.get("marginr", ""))),
        wraps=wraps,
    )


def _number(text: str) -> float:
    match = NUMBER.match(text.strip())
    return float(match[0]) if match else 0.0

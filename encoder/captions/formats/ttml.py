"""TTML (DFXP, EBU-TT, IMSC) and the XML of YouTube to cues.

Source: Timed Text Markup Language 2 (W3C), 8 (content), 10 (styles), 12 (times). Kept are times, line ends, italics,
bold, lines, colors of captions and of parts of them, and regions. Expat reads the file at once, without entities: a
file that declares any is refused.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from xml.parsers import expat

from encoder.captions.formats.clock import inline_time, parse_clock
from encoder.captions.formats.colors import parse_color
from encoder.captions.formats.cue import ANYWHERE, Cue, LeftOut, Place, SubtitleError, Subtitles, gather, name_cue
from encoder.captions.formats.markup import read_marks

ROOT = re.compile(r"<(?:\w{1,20}:)?(?:tt|transcript|timedtext)[\s>]")
HEAD_CHARS = 4096
MAX_DEPTH = 100
# Of times: hours, minutes, seconds, milliseconds; frames and ticks are as long as the file says.
UNITS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1000.0, "ms": 1.0}
OFFSET = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(h|ms|m|s|f|t)?")
FRAMES = re.compile(r"(\d{1,3}:\d{2}:\d{2}):(\d{1,3})(?:\.\d+)?")
FRAME_RATE, TICK_RATE = 30.0, 1.0
SHARES = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%\s+(\d{1,3}(?:\.\d{1,6})?)%")
PIXELS = re.compile(r"(\d{1,5}(?:\.\d{1,6})?)px\s+(\d{1,5}(?:\.\d{1,6})?)px")
NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
ROWS = {"before": 2, "center": 1, "after": 0}
COLUMNS = {"left": 0, "start": 0, "center": 1, "right": 2, "end": 2}
BLANKS = re.compile(r"\s+")
AROUND_ENDS = re.compile(r" ?\n ?")
KEPT = ("color", "fontStyle", "fontWeight", "textDecoration", "textAlign", "displayAlign", "origin", "extent")
# Of the styles that an element names.
MAX_STYLES = 8
SHOWN = ("begin", "start", "t", "end", "dur", "d")
WHITE = "#FFFFFF"
EXAMPLE = '<p begin="00:00:01.000" end="00:00:04.000">'


@dataclass(frozen=True)
class _Element:
    """An open element: when it counts, in milliseconds, and the tags of its marks."""

    begin: float
    end: float | None
    is_timed: bool
    tags: tuple[str, ...] = ()


@dataclass
class _Caption:
    """A caption that is being read: how deep in the file, and what of its text there is."""

    depth: int
    element: _Element
    place: Place
    name: str
    parts: list[str] = field(default_factory=list)


def matches(text: str) -> bool:
    """Return True for what begins like TTML, or like YouTube's XML."""
    return text.lstrip().startswith("<") and ROOT.search(text[:HEAD_CHARS]) is not None


def parse(text: str) -> Subtitles:
    """Return the cues of a file, in its order. Raises SubtitleError."""
    reader = _ContentHandler()
    # What the file says of its encoding was true of its bytes.
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = lambda name, attributes: reader.start(name, attributes, parser.CurrentLineNumber)
    parser.EndElementHandler = lambda name: reader.end()
    parser.CharacterDataHandler = reader.add_text
    try:
        parser.Parse(text.encode("utf-8", errors="replace"), True)
    except expat.ExpatError as error:
        raise SubtitleError(f"it is XML, and cannot be read at line {error.lineno}; save it again.") from error
    ignored: set[str] = set()
    return gather(_cues(reader.captions, ignored), EXAMPLE, ignored, reader.language)


def _refuse_doctype(*_: object) -> None:
    raise SubtitleError("it has a document type with entities, which subtitles do not need; leave <!DOCTYPE …> out.")


def _cues(captions: list[_Caption], ignored: set[str]) -> Iterator[Cue | LeftOut]:
    following = [caption.element.begin for caption in captions[1:]]
    for caption, after in zip(captions, [*following, None], strict=False):
        begin, end = caption.element.begin, caption.element.end if caption.element.end is not None else after
        if not caption.element.is_timed or end is None:
            yield LeftOut(caption.name, "has no begin and end")
            continue
        marked = read_marks(AROUND_ENDS.sub("\n", "".join(caption.parts)))
        ignored |= marked.ignored
        yield Cue(round(begin), round(end), marked.text, marked.word_times, caption.place, caption.name)


class _ContentHandler:
    """Takes what expat finds. `captions` are those that were read."""

    def __init__(self) -> None:
        self.captions: list[_Caption] = []
        self.language = ""
        self._open: list[_Element] = [_Element(0.0, None, False)]
        self._caption: _Caption | None = None
        self._styles: dict[str, dict[str, str]] = {}
        self._regions: dict[str, dict[str, str]] = {}
        self._region: dict[str, str] = {}
        self._frame_rate, self._tick_rate = FRAME_RATE, TICK_RATE
        self._size = 0.0, 0.0

    def start(self, full_name: str, full_attributes: Mapping[str, str], line: int) -> None:
        """Take the start of an element. Raises SubtitleError for one that is too deep."""
        if len(self._open) > MAX_DEPTH:
            raise SubtitleError(f"line {line}: it is nested too deep; {MAX_DEPTH} elements are the most.")
        name = full_name.rsplit(" ", 1)[-1]
        attributes = {key.rsplit(" ", 1)[-1]: value for key, value in full_attributes.items()}
        if len(self._open) == 1:
            self._read_root(attributes)
        element = self._timed(attributes)
        if name in ("style", "region"):
            self._define(name, attributes)
        elif name == "br":
            self._add("\n")
        elif name in ("p", "text") or (name == "span" and self._begins_caption(attributes)):
            self._begin_caption(element, attributes, line)
        elif self._caption is not None and element.begin > self._open[-1].begin:
            self._add(inline_time(element.begin))
        if self._caption is not None:
            element = replace(element, tags=tuple(self._tags(attributes)))
            self._add("".join(f"<{tag}>" for tag in element.tags))
        self._open.append(element)

    def end(self) -> None:
        """Take the end of an element."""
        element = self._open.pop()
        self._add("".join(f"</{tag.split()[0]}>" for tag in reversed(element.tags)))
        if self._caption is not None and len(self._open) == self._caption.depth:
            self._end_caption()

    def add_text(self, words: str) -> None:
        """Take text: blanks and line ends are one blank."""
        self._add(BLANKS.sub(" ", words))

    def _add(self, words: str) -> None:
        if self._caption is not None and words:
            before = self._caption.parts[-1][-1] if self._caption.parts else ""
            self._caption.parts.append(words[1:] if words[0] == " " and before in (" ", "\n") else words)

    def _read_root(self, attributes: Mapping[str, str]) -> None:
        """Read what the root says of times and of the language. Source: TTML 2, 7.2."""
        rate, ticks = (_number(attributes.get(key, "")) for key in ("frameRate", "tickRate"))
        over, under = map(_number, (*attributes.get("frameRateMultiplier", "").replace(":", " ").split(), "", "")[:2])
        self._frame_rate = (rate or FRAME_RATE) * (over / under if over and under else 1)
        self._tick_rate = ticks or (self._frame_rate if rate else TICK_RATE)
        self.language = attributes.get("lang", "")[:35]
        if match := PIXELS.fullmatch(attributes.get("extent", "").strip()):
            self._size = float(match[1]), float(match[2])

    def _define(self, kind: str, attributes: dict[str, str]) -> None:
        """Keep a style, or a region; a style without a name is that of the region it stands in."""
        name = attributes.get("id", "")
        if kind == "region":
            self._region = self._regions[name] = self._styled(attributes)
        elif name:
            self._styles[name] = self._styled(attributes)
        else:
            self._region.update(self._styled(attributes))

    def _timed(self, attributes: Mapping[str, str]) -> _Element:
        """Return when an element counts, within the one about it. YouTube has `start` in seconds, `t` and `d` in
        milliseconds."""
        about = self._open[-1]
        begin = self._time(attributes.get("begin", attributes.get("start", "")))
        begin = _first(begin, _number(attributes.get("t", "")))
        end = self._time(attributes.get("end", ""))
        lasts = _first(self._time(attributes.get("dur", "")), _number(attributes.get("d", "")))
        is_timed = about.is_timed or begin is not None or end is not None or lasts is not None
        starts = about.begin + (begin or 0.0)
        ends = [about.begin + end] if end is not None else []
        ends += [starts + lasts] if lasts is not None else []
        return _Element(starts, min(ends) if ends else about.end, is_timed)

    def _time(self, text: str) -> float | None:
        """Return the milliseconds of a time; None for none. Source: TTML 2, 12.3."""
        text = text.strip()
        if match := FRAMES.fullmatch(text):
            return (parse_clock(match[1]) or 0) + int(match[2]) * 1000 / self._frame_rate
        if match := OFFSET.fullmatch(text):
            rates = {"f": 1000 / self._frame_rate, "t": 1000 / self._tick_rate}
            return float(match[1]) * (UNITS | rates)[match[2] or "s"]
        return parse_clock(text)

    def _begins_caption(self, attributes: Mapping[str, str]) -> bool:
        """Return True for the timed part of a paragraph that has no times itself."""
        about = self._caption
        return not self._open[-1].is_timed and "begin" in attributes and (about is None or not about.element.is_timed)

    def _begin_caption(self, element: _Element, attributes: Mapping[str, str], line: int) -> None:
        self._end_caption()
        shown = " ".join(f'{key}="{attributes[key]}"' for key in SHOWN if key in attributes)
        name = name_cue(len(self.captions) + 1, line, shown)
        self._caption = _Caption(len(self._open), element, self._place(attributes), name)

    def _end_caption(self) -> None:
        """Keep the caption that was read; what has neither times nor text is none."""
        if self._caption is not None and (self._caption.element.is_timed or "".join(self._caption.parts).strip()):
            self.captions.append(self._caption)
        self._caption = None

    def _styled(self, attributes: Mapping[str, str]) -> dict[str, str]:
        """Return the attributes of style, and those of the styles before it that it names, which count less."""
        styled: dict[str, str] = {}
        for name in attributes.get("style", "").split()[:MAX_STYLES]:
            styled |= self._styles.get(name, {})
        return styled | {key: attributes[key] for key in KEPT if key in attributes}

    def _tags(self, attributes: Mapping[str, str]) -> Iterator[str]:
        """Yield the tags for the style of an element. White letters are left to the style of the request."""
        styled = self._styled(attributes)
        color = parse_color(styled.get("color", "")) if styled.get("color") else ""
        is_within = any(tag.startswith("font") for element in self._open for tag in element.tags)
        if color and (color != WHITE or is_within):
            yield f'font color="{color}"'
        if styled.get("fontStyle") in ("italic", "oblique"):
            yield "i"
        if styled.get("fontWeight") == "bold":
            yield "b"
        decoration = styled.get("textDecoration", "")
        yield from (tag for word, tag in (("underline", "u"), ("lineThrough", "s")) if word in decoration.split())

    def _place(self, attributes: Mapping[str, str]) -> Place:
        """Return where a caption stands by its region: of one without, the style of the request decides."""
        styled = self._regions.get(attributes.get("region", ""), {}) | self._styled(attributes)
        column = COLUMNS.get(styled.get("textAlign", ""))
        origin, extent = self._shares(styled.get("origin", "")), self._shares(styled.get("extent", ""))
        align = styled.get("displayAlign", "")
        if origin is None or extent is None:
            return Place(ROWS.get(align), column) if align or column is not None else ANYWHERE
        (left, top), (width, height) = origin, extent
        below = max(1 - top - height, 0.0)
        row = ROWS.get(align, 2 if top + height / 2 < 0.5 else 0)
        vertical = top if row == 2 else below if row == 0 else 0.0
        return Place(row, column, round(left, 4), round(max(1 - left - width, 0.0), 4), round(vertical, 4))

    def _shares(self, text: str) -> tuple[float, float] | None:
        """Return lengths across and down as shares of the picture."""
        if match := SHARES.fullmatch(text.strip()):
            return min(float(match[1]) / 100, 1.0), min(float(match[2]) / 100, 1.0)
        match = PIXELS.fullmatch(text.strip())
        if match is None or not all(self._size):
            return None
        return min(float(match[1]) / self._size[0], 1.0), min(float(match[2]) / self._size[1], 1.0)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _number(text: str) -> float | None:
    return float(text) if NUMBER.fullmatch(text) else None

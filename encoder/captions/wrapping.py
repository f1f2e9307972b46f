"""Lines of captions, held against the picture: what libass cannot break is broken here, by measure.

libass breaks lines at blanks, and makes them evenly long. It knows no words of Thai, Lao, Khmer or Burmese, lets a
line of Japanese end with an opening bracket, shows no hyphen at a soft one, and does nothing about a word wider
than the room. A caption with any of these, or with more lines than the picture has room for, is laid out here; any
other stays as it is.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice, pairwise

from apigpu.v1 import video_pb2
from encoder.captions.ass import PlacedCue, Placement, dimensions, room_at
from encoder.captions.formats import Cue
from encoder.captions.karaoke import Word
from encoder.captions.line_breaks import (
    HYPHEN,
    SOFT_HYPHEN,
    UNBROKEN,
    break_places,
    direction,
    is_narrow,
    letter_places,
    syllable_places,
    takes_hyphen,
)
from encoder.captions.measuring import TextMeasurer
from encoder.captions.styled_text import StyledText
from encoder.captions.styles import WHOLE, Style, is_laid_out

# Blanks that take no room at the end of a line.
BLANKS = " \t\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u200b\u205f\u3000"
WORD = re.compile(r"\S+")
# A hyphen would become part of these.
ADDRESS = re.compile(r"[\d/@_=&#%~\\]|[.:]\w")
# What the measures may be off by.
TOLERANCE = 0.995
# Letters are made no smaller than this share of their size, nor than this many pixels.
LEAST_SCALE, LEAST_PIXELS = 0.4, 8
# Of the search for a scale, and for lines of even length.
HALVINGS = 8
DIRECTION_MARKS = {"R": "\u200f", "L": "\u200e"}
MAX_WARNINGS = 40


@dataclass(frozen=True)
class FittedCue:
    """A cue and its words with line ends put in; `is_cut` if it leaves the picture all the same."""

    placed: PlacedCue
    is_cut: bool = False


@dataclass(frozen=True)
class Piece:
    """A part of a line between two places where it may be broken, in line heights: `ink` without the blanks at its end,
    `advance` with them. `hyphen` is drawn when the line ends there, and takes `hyphen_width`. A
    word that is wider than a line has `letters`, or syllables, between which it is split."""

    first: int
    end: int
    ink: float
    advance: float
    hyphen: str = ""
    hyphen_width: float = 0.0
    letters: Sequence["Piece"] = ()


Line = Sequence[Piece]


class CaptionFitter:
    """Fits the captions of a style into a picture of `width` × `height` square pixels."""

    def __init__(self, measurer: TextMeasurer, style: Style, width: int, height: int) -> None:
        self._measurer = measurer
        self._style = style
        self._look = dimensions(style, width, height)
        self._line_room: float = self._look.room
        # The far edge may be come as near to as what is drawn beyond the letters allows.
        near = self._look.edge if self._look.center else self._look.margin_y
        self._height = height - near - self._look.edge
        # A line has room for the word in it that grows.
        self._growth = max(style.highlight_scale, WHOLE) / WHOLE
        self._is_laid_out = is_laid_out(style)
        self._least_scale = min(max(LEAST_SCALE, LEAST_PIXELS / self._look.size), 1.0)

    def fit(self, cue: Cue, words: Sequence[Word]) -> FittedCue:
        """Return a cue as it fits the picture."""
        self._line_room = room_at(cue.place, self._style, self._look)
        if not self._is_laid_out and self._surely_fits(cue.text):
            return FittedCue(PlacedCue(cue, words))
        text, lines, line_height = self._read(cue)
        scale, is_cut = self._scale(lines, line_height)
        room = self._room(scale)
        laid_out = [_even_lines(line, room) for line in lines]
        middle = self._middle(sum(map(len, laid_out)) * line_height * scale)
        if (
            not self._is_laid_out
            and scale == 1
            and not is_cut
            and all(_is_broken_by_libass(text, line, room) for line in lines)
        ):
            return FittedCue(PlacedCue(cue, words, Placement(middle=middle)))
        edits = {place: new for parts in laid_out for place, new in _line_ends(text, parts)}
        widest = max(self._most_width(line) for parts in laid_out for line in parts) * self._look.size * scale
        extent = widest, sum(map(len, laid_out)) * line_height * scale
        return FittedCue(_edited(PlacedCue(cue, words, Placement(scale, middle), extent), edits), is_cut)

    def wrap(self, cue: Cue) -> Cue:
        """Return a cue with its lines as they are shown, also where libass breaks them."""
        self._line_room = room_at(cue.place, self._style, self._look)
        text, lines, line_height = self._read(cue)
        room = self._room(self._scale(lines, line_height)[0])
        edits = {place: new for line in lines for place, new in _line_ends(text, _even_lines(line, room))}
        return _edited(PlacedCue(cue), edits).cue

    def _read(self, cue: Cue) -> tuple[StyledText, list[Line], float]:
        """Return the text of a cue, its lines as it is written, and the height of one, in pixels."""
        text = StyledText(cue.text, self._style, self._measurer)
        lines = list(_hard_lines(text, self._room(1)))
        return text, lines, text.line_height() * self._look.size * self._growth

    def _most_width(self, line: Line) -> float:
        """Return the width of a line with its widest word grown."""
        return _width(line) + (self._growth - 1) * max((piece.ink for piece in line), default=0.0)

    def _surely_fits(self, text: str) -> bool:
        """Return True for text that fits whatever its letters are: none is wider than its line is high."""
        room = self._room(1)
        if not is_narrow(text) or any(match.end() - match.start() > room for match in UNBROKEN.finditer(text)):
            return False
        most_lines = sum(1 + 2 * len(line) // max(int(room), 1) for line in text.split("\n"))
        height = most_lines * self._look.size
        return height <= self._height and self._middle(height) is None

    def _room(self, scale: float) -> float:
        """Return the room for a line in line heights, with letters of `scale` times their size."""
        return self._line_room * TOLERANCE / (self._look.size * scale * self._growth)

    def _middle(self, height: float) -> float | None:
        """Return where the middle of lines of this height must be so that they stay in the picture, if the style's own
        point is too near to its edge."""
        if self._look.center is None:
            return None
        least = min(height / 2 + self._look.edge, self._look.height / 2)
        middle = min(max(self._look.center[1], least), self._look.height - least)
        return None if middle == self._look.center[1] else middle

    def _scale(self, lines: Sequence[Line], line_height: float) -> tuple[float, bool]:
        """Return the largest scale with which the lines fit, and False; the least one and True where none does."""

        def fits(scale: float) -> bool:
            room = self._room(scale)
            laid_out = [part for line in lines for part in _full_lines(_split_long(line, room), room)]
            widest = max((piece.ink for part in laid_out for piece in part), default=0.0)
            return widest <= room and len(laid_out) * line_height * scale <= self._height

        low, high = self._least_scale, 1.0
        if fits(high):
            return high, False
        if not fits(low):
            return low, True
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low, False


def _hard_lines(text: StyledText, room: float) -> Iterator[Line]:
    """Yield the lines of a text as it is written, each as the pieces that it may be broken into; those that are wider
    than the room have letters."""
    first = 0
    for line in text.plain.split("\n"):
        addresses = {place for word in WORD.finditer(line) if ADDRESS.search(word[0]) for place in range(*word.span())}
        pieces: list[Piece] = []
        for start, end in pairwise([0, *break_places(line)]):
            piece = _piece(text, first + start, first + end)
            if piece.ink > room:
                piece = replace(piece, letters=tuple(_letters(text, piece, room, hyphenates=start not in addresses)))
            pieces.append(piece)
        yield pieces
        first += len(line) + 1


def _piece(text: StyledText, first: int, end: int) -> Piece:
    shown = text.plain[first:end].rstrip(BLANKS)
    ink = text.width(first, first + len(shown))
    advance = ink + text.width(first + len(shown), end)
    hyphen = HYPHEN if shown.endswith(SOFT_HYPHEN) else ""
    return Piece(first, end, ink, advance, hyphen, text.hyphen_width(end) if hyphen else 0.0)


def _letters(text: StyledText, word: Piece, room: float, *, hyphenates: bool) -> Iterator[Piece]:
    """Yield the syllables of a word, and the letters of those that are too wide themselves; with hyphens, if it
    `hyphenates`, where it may be broken."""
    shown = text.plain[word.first : word.end].rstrip(BLANKS)
    sums = list(accumulate(text.advances(word.first, word.first + len(shown)), initial=0.0))
    for start, end in pairwise(_letter_places(shown, sums, room)):
        first, until = word.first + start, word.first + end
        shows = hyphenates and end < len(shown) and takes_hyphen(*shown[end - 1 : end + 1])
        ink = sums[end] - sums[start]
        yield Piece(first, until, ink, ink, *((HYPHEN, text.hyphen_width(until)) if shows else ()))


def _letter_places(shown: str, sums: Sequence[float], room: float) -> Iterator[int]:
    yield 0
    for start, end in pairwise([0, *syllable_places(shown)]):
        is_wide = sums[end] - sums[start] > room / 2
        yield from (start + place for place in letter_places(shown[start:end])) if is_wide else [end]


def _full_lines(pieces: Line, room: float) -> list[Line]:
    """Return lines that are as full as they can be; an empty line is one."""
    lines: list[list[Piece]] = [[]]
    used = 0.0
    for number, piece in enumerate(pieces):
        hyphen = piece.hyphen_width if number + 1 < len(pieces) else 0.0
        if lines[-1] and used + piece.ink + hyphen > room:
            lines.append([])
            used = 0.0
        lines[-1].append(piece)
        used += piece.advance
    return list(lines)


def _width(line: Line) -> float:
    """Return the width of a line, with the hyphen that it may end with."""
    return sum(piece.advance for piece in line[:-1]) + sum(piece.ink + piece.hyphen_width for piece in line[-1:])


def _even_lines(pieces: Line, room: float) -> list[Line]:
    """Return as few lines as the room allows, and the longest of them as short as it can be."""
    pieces = _split_long(pieces, room)
    full = _full_lines(pieces, room)
    if len(full) == 1:
        return full
    low, high = max(piece.ink + piece.hyphen_width for piece in pieces), room
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if len(lines := _full_lines(pieces, middle)) > len(full):
            low = middle
        else:
            high, full = middle, lines
    return full


def _split_long(pieces: Line, room: float) -> Line:
    """Return the pieces of a line, those that are wider than the room split between letters."""
    return [part for piece in pieces for part in ([piece] if piece.ink <= room else _split(piece, room))]


def _split(piece: Piece, room: float) -> Iterator[Piece]:
    """Yield a word in parts of about the same width, the last with what stands at the end of the word."""
    most = max(room - max((letter.hyphen_width for letter in piece.letters), default=0.0), 0.01)
    even = piece.ink / math.ceil(piece.ink / most) + max((letter.ink for letter in piece.letters), default=0.0)
    *parts, last = _full_lines(piece.letters, min(even, room))
    for part in parts:
        ink = sum(letter.ink for letter in part)
        yield Piece(part[0].first, part[-1].end, ink, ink, part[-1].hyphen, part[-1].hyphen_width)
    ink = sum(letter.ink for letter in last)
    yield replace(piece, first=last[0].first, ink=ink, advance=ink + piece.advance - piece.ink)


def _is_broken_by_libass(text: StyledText, pieces: Line, room: float) -> bool:
    """Return True for a line that fits as it is, or that libass can break so that it does."""
    if not pieces:
        return True
    first, end = pieces[0].first, pieces[-1].end
    if text.width(first, end) <= room:
        return True
    line = text.plain[first:end]
    if SOFT_HYPHEN in line:
        return False
    parts = UNBROKEN.finditer(line)
    return all(text.width(first + part.start(), first + part.end()) <= room for part in parts)


def _line_ends(text: StyledText, lines: Sequence[Line]) -> Iterator[tuple[int, str]]:
    """Yield the places in a cue's text whose letters are to be others, so that its lines end as laid out, and what
    stands there then."""
    if len(lines) < 2:
        return
    plain = text.plain
    whole = direction(plain[lines[0][0].first : lines[-1][-1].end])
    for line, following in pairwise(lines):
        end, hyphen = line[-1].end, line[-1].hyphen
        blanks = _trailing_blanks(plain, end)
        yield from ((text.places[end - 1 - number], "") for number in range(blanks - 1))
        last = end - max(blanks, 1)
        kept = "" if blanks or plain[last] == SOFT_HYPHEN else plain[last]
        # A hyphen stays with its word, and each line runs as the whole does, not as its own first letter.
        runs = direction(plain[end - 2 : end])
        hyphen += DIRECTION_MARKS[runs] if hyphen and runs and runs != whole else ""
        begins = direction(plain[following[0].first : following[-1].end])
        mark = DIRECTION_MARKS[whole] if whole and begins != whole and "R" in (whole, begins) else ""
        yield text.places[last], f"{kept}{hyphen}\n{mark}"


def _trailing_blanks(text: str, end: int) -> int:
    start = end
    while start and text[start - 1] in BLANKS:
        start -= 1
    return end - start


def _edited(placed: PlacedCue, edits: Mapping[int, str]) -> PlacedCue:
    """Return a cue with the letters at some places replaced, the places of its words moved along."""
    if not edits:
        return placed
    cue = placed.cue
    parts = [edits.get(place, letter) for place, letter in enumerate(cue.text)]
    places = list(accumulate(map(len, parts), initial=0))
    words = [replace(word, first=places[word.first], end=places[word.end]) for word in placed.words]
    return replace(placed, cue=replace(cue, text="".join(parts)), words=words)


def warnings_of(fitted: Iterable[FittedCue]) -> list[video_pb2.Warning]:
    """Return a warning for each caption, counted from 1, that is smaller than was asked for, or cut; at most
    MAX_WARNINGS."""
    found = (
        _warning(number, one) for number, one in enumerate(fitted, 1) if one.is_cut or one.placed.placement.scale < 1
    )
    return list(islice(found, MAX_WARNINGS))


def _warning(number: int, fitted: FittedCue) -> video_pb2.Warning:
    percent = round(100 * fitted.placed.placement.scale)
    metadata = {"cue": str(number), "percent": str(percent)}
    what = f"caption {number} is too long for the picture: its letters are {percent}% of the size"
    if fitted.is_cut:
        message = f"{what}, and part of it is outside all the same; break it into shorter ones or make style.size less."
        return video_pb2.Warning(reason="CAPTION_CUT", message=message, metadata=metadata)
    message = f"{what}; break it into shorter ones, or make style.size less."
    return video_pb2.Warning(reason="CAPTION_SMALLER", message=message, metadata=metadata)

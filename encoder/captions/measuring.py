"""Widths of text as libass will draw it, by HarfBuzz, with the fonts that were laid out for a task.

libass takes each letter from the font that is nearest in weight and slant among those that have it, and sizes a font by
its room above and below the line ("usWinAscent", "usWinDescent" of OpenType's OS/2), not by its em.
"""

import struct
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uharfbuzz

from encoder.captions.font_bounds import FontError
from encoder.captions.fonts import caption_files, script_files
from encoder.captions.lettering import Lettering

REGULAR, BOLD = 400, 700
# How libass counts the slant of a font that is asked for in italics, and of one that is italic.
ASKED_SLANT, ITALIC_SLANT = 110, 100
ITALIC_BIT = 1
WEIGHT_AT, SELECTION_AT, WIN_ASCENT_AT = 4, 62, 74
# Controls, joiners and selectors, which are shaped with the letter before them.
JOINED = ("Cf", "Mn", "Me")


Runs = Callable[[str], Iterable[tuple[str, str]]]


def one_family(text: str) -> Iterator[tuple[str, str]]:
    """Yield a text as one part of the only family."""
    yield "", text


@dataclass(frozen=True)
class MeasuredFont:
    """A font file; `scale` is what a unit of the font comes to in a line of height 1, of which `ascent` lies above."""

    font: Any
    weight: int
    slant: int
    scale: float
    ascent: float

    def has(self, letter: str) -> bool:
        """Return True if the font has a glyph for a letter."""
        return self.font.get_nominal_glyph(ord(letter)) is not None

    def advances(self, text: str) -> list[float]:
        """Return the width of each letter of a text, shaped, in line heights; what is drawn as one counts as the first
        letter of it."""
        buffer = uharfbuzz.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        uharfbuzz.shape(self.font, buffer)
        found = [0.0] * len(text)
        for info, position in zip(buffer.glyph_infos, buffer.glyph_positions or (), strict=False):
            found[info.cluster] += position.x_advance * self.scale
        return found


class TextMeasurer:
    """Measures text in line heights: its width is that number times the size of the style. `fonts` are by family, and
    `runs` yields the parts of a text that one family draws."""

    def __init__(self, fonts: Mapping[str, Sequence[MeasuredFont]], runs: Runs = one_family) -> None:
        self._fonts = fonts
        self._split = runs
        self._ranked: dict[tuple[str, bool, bool], list[MeasuredFont]] = {}
        self._chosen: dict[tuple[str, str, bool, bool], MeasuredFont | None] = {}
        self._widths: dict[tuple[str, bool, bool], float] = {}

    def width(self, text: str, *, bold: bool = False, italic: bool = False) -> float:
        """Return the width of text in one style."""
        key = text, bold, italic
        if key not in self._widths:
            self._widths[key] = sum(self.advances(text, bold=bold, italic=italic))
        return self._widths[key]

    def advances(self, text: str, *, bold: bool = False, italic: bool = False) -> list[float]:
        """Return the width of each letter of a text in one style, as they stand beside each other."""
        found: list[float] = []
        for font, run in self._runs(text, bold, italic):
            found += font.advances(run) if font is not None else [0.0] * len(run)
        return found

    def line_height(self, text: str, *, bold: bool, italic: bool) -> float:
        """Return the height of a line with these letters, which is more than 1 where fonts differ."""
        used = {font for font, _ in self._runs(text, bold, italic) if font is not None}
        return max((font.ascent for font in used), default=1.0) + max((1 - font.ascent for font in used), default=0.0)

    def _runs(self, text: str, bold: bool, italic: bool) -> Iterator[tuple[MeasuredFont | None, str]]:
        """Yield the parts of a text that are drawn with one font, or with none."""
        for family, part in self._split(text):
            current, first = None, 0
            for place, letter in enumerate(part):
                joined = place and not letter.isascii() and unicodedata.category(letter) in JOINED
                font = current if joined else self._choose(family, letter, bold, italic)
                if font is not current and place:
                    yield current, part[first:place]
                    first = place
                current = font
            yield current, part[first:]

    def _choose(self, family: str, letter: str, bold: bool, italic: bool) -> MeasuredFont | None:
        key = family, letter, bold, italic
        if key not in self._chosen:
            able = (font for font in self._by_likeness(family, bold, italic) if font.has(letter))
            self._chosen[key] = next(able, None)
        return self._chosen[key]

    def _by_likeness(self, family: str, bold: bool, italic: bool) -> list[MeasuredFont]:
        """Return the fonts of a family in the order in which libass prefers them for a style."""
        if (family, bold, italic) not in self._ranked:
            weight, slant = BOLD if bold else REGULAR, ASKED_SLANT if italic else 0
            self._ranked[family, bold, italic] = sorted(
                self._fonts.get(family, ()), key=lambda font: abs(font.weight - weight) + abs(font.slant - slant)
            )
        return self._ranked[family, bold, italic]


def open_captions(folder: Path, lettering: Lettering) -> TextMeasurer:
    """Return what measures captions in the fonts that FontLibrary.furnish_captions laid out in a folder. Raises
    FontError."""
    files = zip(lettering.families, caption_files(folder), strict=True)
    return TextMeasurer({family: [_open(path) for path in paths] for family, paths in files}, lettering.runs)


def open_script(folder: Path, families: Iterable[str]) -> Callable[[str], TextMeasurer]:
    """Return what measures text in a family, of fonts that FontLibrary.furnish_script laid out in a folder for
    families, in their order; another family is measured as the first. Raises FontError."""
    numbers = {family.casefold(): number for number, family in reversed(list(enumerate(families)))}
    opened: dict[int, TextMeasurer] = {}

    def measurer(family: str) -> TextMeasurer:
        number = numbers.get(family.casefold(), 0)
        if number not in opened:
            opened[number] = TextMeasurer({"": [_open(path) for path in script_files(folder, number)]})
        return opened[number]

    return measurer


def _open(path: Path) -> MeasuredFont:
    face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(path)))
    table = face.reference_table("OS/2").data
    try:
        (weight,), (selection,) = (
            struct.unpack_from(">H", table, WEIGHT_AT),
            struct.unpack_from(">H", table, SELECTION_AT),
        )
        ascent, descent = struct.unpack_from(">HH", table, WIN_ASCENT_AT)
    except struct.error as error:
        raise FontError("it is damaged") from error
    height = ascent + descent or face.upem
    slant = ITALIC_SLANT if selection & ITALIC_BIT else 0
    return MeasuredFont(uharfbuzz.Font(face), weight, slant, 1 / height, ascent / height)

"""Faces: what is found in a font file, by its names and its table of letters."""

import contextlib
import io
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uharfbuzz
from fontTools.ttLib import TTFont

from encoder.captions.font_bounds import MAX_LETTERS, FontError, check_letters, check_names, distinct_faces

COLLECTION = b"ttcf"
MAGIC = (b"\0\1\0\0", b"OTTO", b"true", COLLECTION)
# libass draws outlines alone: of pictures for letters, as fonts of colored emoji have them, it shows nothing.
OUTLINES, PICTURES = ("glyf", "CFF ", "CFF2"), ("CBDT", "sbix", "SVG ", "EBDT", "bdat")
COLORS = "COLR"
# The names by which libass finds a font are its family and full name.
FAMILY_NAME, FULL_NAME, TYPOGRAPHIC_FAMILY = 1, 4, 16
ITALIC_BIT = 1
# Measuring every glyph anew would take seconds.
AS_IT_IS = {"recalcBBoxes": False, "recalcTimestamp": False}
# What would end the name in a script, or the line.
UNFIT = re.compile(r"[@,{}\\\x00-\x1f\x7f\u2028\u2029]")
MAX_FAMILY_CHARS = 100
# Fonts of signs have a table of letters of this platform and encoding, in which "A" is U+F041.
SYMBOLS, SYMBOLS_START = (3, 0), 0xF000


@dataclass(frozen=True)
class Face:
    """One font: number `number` in its file. `names` are its families and full names in small letters, of which libass
    knows `plain_names`; `letters` are the codes that it has a glyph for."""

    path: Path
    number: int
    family: str
    names: frozenset[str]
    plain_names: frozenset[str]
    weight: int
    italic: bool
    letters: frozenset[int]


def read_faces(path: Path) -> list[Face]:
    """Return the fonts in a file, those of a collection that are the same once. Raises FontError."""
    with path.open("rb") as file:
        if file.read(4) not in MAGIC:
            raise FontError("it is no TrueType or OpenType font")
    with errors_of_damage():
        return list(_iter_faces(path))


def open_font(data: bytes, number: int = 0) -> TTFont:
    """Return a font of a file's bytes, whose tables are read when they are first needed."""
    # Of bytes: what is read lazily from a file keeps it open.
    return TTFont(io.BytesIO(data), fontNumber=number, lazy=True, **AS_IT_IS)


@contextlib.contextmanager
def errors_of_damage() -> Iterator[None]:
    """Raise FontError for whatever a damaged table makes fontTools trip over, which lets it through."""
    try:
        yield
    except (FontError, MemoryError):
        raise
    except Exception as error:
        raise FontError("it is damaged") from error


def drawn_letters(face: Face, letters: Set[int]) -> frozenset[int]:
    """Return those of a face's letters that show something, and blanks: fonts often have empty glyphs for what they
    lack. Raises FontError."""
    with errors_of_damage():
        font = uharfbuzz.Font(_outlines_alone(uharfbuzz.Face(open_blob(face.path), face.number)))
        return frozenset(code for code in letters & face.letters if chr(code).isspace() or _has_ink(font, code))


def _iter_faces(path: Path) -> Iterator[Face]:
    data = path.read_bytes()
    # Fonts of a collection often share a table; where it lies tells which.
    letters: dict[tuple[int, int], frozenset[int]] = {}
    fonts = {number: open_font(data, number) for number in _numbers(data)}
    # All claims are judged before any is believed.
    tables = {_letters_place(font): font for font in fonts.values()}
    if sum(check_letters(font.reader["cmap"]) for font in tables.values()) > MAX_LETTERS:
        raise FontError("it has too many letters")
    for number, font in fonts.items():
        if any(table in font for table in PICTURES) and not any(table in font for table in OUTLINES):
            raise FontError("it has pictures in place of outlines, which cannot be drawn")
        place = _letters_place(font)
        if place not in letters:
            letters[place] = frozenset(_letter_table(font))
        yield _face(path, number, font, letters[place])


def _numbers(data: bytes) -> list[int]:
    return distinct_faces(data) if data.startswith(COLLECTION) else [0]


def _letters_place(font: TTFont) -> tuple[int, int]:
    entry = font.reader.tables["cmap"]
    return entry.offset, entry.length


def _letter_table(font: TTFont) -> dict[int, str]:
    """Return the name of the glyph of each letter, as libass finds them."""
    if found := font.getBestCmap():
        return dict(found)
    signs = font["cmap"].getcmap(*SYMBOLS)
    return {code % SYMBOLS_START: name for code, name in signs.cmap.items()} if signs else {}


def open_blob(path: Path) -> Any:
    """Return a file's bytes, which are read as they are needed. Raises FontError."""
    with errors_of_damage():
        return uharfbuzz.Blob.from_file_path(str(path))


def _outlines_alone(face: Any) -> Any:
    """Return a font without its colors and pictures."""
    if not {*face.table_tags} & {*PICTURES, COLORS}:
        return face
    tables = {tag: bytes(face.reference_table(tag).data) for tag in face.table_tags if tag not in (*PICTURES, COLORS)}
    return uharfbuzz.Face.create_for_tables(lambda _, tag, __: tables.get(tag), None)


def _has_ink(font: Any, code: int) -> bool:
    """Return True unless the font has an empty glyph for a letter."""
    glyph = font.get_nominal_glyph(code)
    extents = font.get_glyph_extents(glyph) if glyph else None
    return extents is not None and bool(extents.width and extents.height)


def _face(path: Path, number: int, font: TTFont, letters: frozenset[int]) -> Face:
    check_names(font.reader["name"])
    table, os2 = font["name"], font["OS/2"]
    plain = _names(table, FAMILY_NAME, FULL_NAME)
    more = _names(table, TYPOGRAPHIC_FAMILY)
    named = table.getDebugName(FAMILY_NAME) or table.getDebugName(TYPOGRAPHIC_FAMILY) or ""
    family = UNFIT.sub(" ", named).strip()[:MAX_FAMILY_CHARS].strip() or path.stem
    return Face(
        path=path,
        number=number,
        family=family,
        names=plain | more | {family.casefold()},
        plain_names=plain,
        weight=os2.usWeightClass,
        italic=bool(os2.fsSelection & ITALIC_BIT),
        letters=letters,
    )


def _names(table: object, *kinds: int) -> frozenset[str]:
    return frozenset(str(record).casefold() for record in table.names if record.nameID in kinds)  # type: ignore[attr-defined]

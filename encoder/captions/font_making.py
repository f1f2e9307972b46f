"""Fonts made from others, as captions need them: under another name, in one weight, not too large.

A font of which a part is left out shapes wrong where that part was needed: HarfBuzz takes letters apart (Thai ำ,
Bengali ো), puts others in (the dotted circle), and joins them by the font's tables. So fonts are given whole, which
takes a few milliseconds; of one that is too large for that, all letters of the scripts that are written, and all glyphs
that its tables make of them.
"""

import io
import unicodedata
from collections.abc import Set

import uharfbuzz
from fontTools.ttLib import TTFont
from fontTools.unicodedata import script

from encoder.captions.faces import Face, errors_of_damage, open_blob, open_font

REGULAR, BOLD = 400, 700
WEIGHT_AXIS = "wght"
# The tables of a larger font take long to copy, and to read for every video.
MAX_WHOLE_BYTES = 4 * 1024 * 1024
# Of text that runs down the page, of weights that are gone, and of signatures.
UNUSED = ("BASE", "VORG", "vhea", "vmtx", "VVAR", "STAT", "DSIG")
# libass makes letters smaller the more room a font takes above and below the line; Noto Sans takes this much.
MAX_LINE = 1.362
# The names that a renamed font has anew.
NAMES = (1, 2, 3, 4, 6, 16, 17, 21, 22, 25)
BOLD_BIT, REGULAR_BIT = 1 << 5, 1 << 6
# Scripts in which no letter is needed to shape another, save for those that it is composed of.
PLAIN = ("Hani", "Hang", "Hira", "Kana", "Bopo")
# Scripts in name only: what is of them goes with letters of any script.
SHARED = ("Zyyy", "Zinh", "Zzzz")
# What HarfBuzz puts in: blanks, hyphens, joiners, the circle under a mark without its letter.
INSERTED = frozenset(map(ord, " \u00a0-\u2010\u2011\u200b\u200c\u200d\u25cc"))


def rename(face: Face, family: str, weight: int, letters: Set[int] | None = None) -> bytes:
    """Return the font under another family and weight (OpenType's usWeightClass), its lines within MAX_LINE. A variable
    font becomes a regular one; one that is too large keeps `letters` and what shaping makes of them alone. Raises
    FontError."""
    return name_font(fit(face, letters), family, weight, f"{face.path.stem}-{face.number}-{weight}")


def fit(face: Face, letters: Set[int] | None, weight: int = REGULAR, max_whole_bytes: int = MAX_WHOLE_BYTES) -> bytes:
    """Return a font of one weight, as far as it has it, with at least these letters; with all of them where they are
    None, or the tables have no more than `max_whole_bytes`. Raises FontError."""
    with errors_of_damage():
        font = uharfbuzz.Face(open_blob(face.path), face.number)
        order = uharfbuzz.SubsetInput()
        order.keep_everything()
        if letters is not None and _table_bytes(font) > max_whole_bytes:
            order.glyph_set.clear()
            order.unicode_set.clear()
            order.unicode_set.update(closure(face, letters))
        order.drop_table_tag_set.update(int.from_bytes(tag.encode(), "big") for tag in UNUSED)
        for axis in font.axis_infos:
            is_weight = axis.tag == WEIGHT_AXIS
            value = min(max(weight, axis.min_value), axis.max_value) if is_weight else axis.default_value
            order.pin_axis_location(font, axis.tag, value)
        return bytes(uharfbuzz.subset(font, order).blob.data)


def has_weight(face: Face, weight: int) -> bool:
    """Return True if a variable font has a weight, in place of one that the renderer makes up. Raises FontError."""
    with errors_of_damage():
        font = uharfbuzz.Face(open_blob(face.path), face.number)
        return any(axis.tag == WEIGHT_AXIS and axis.max_value >= weight for axis in font.axis_infos)


def closure(face: Face, letters: Set[int]) -> frozenset[int]:
    """Return the letters of a face that may come up when `letters` are shaped: what these are composed of, all that is
    of their scripts, marks that go with any, and what HarfBuzz puts in."""
    parts = {ord(part) for code in letters for part in unicodedata.normalize("NFD", chr(code))}
    scripts = {script(chr(code)) for code in letters}.difference(PLAIN, SHARED)
    kin = {code for code in face.letters if scripts and _is_kin(chr(code), scripts)}
    return frozenset(face.letters & (letters | parts | kin | INSERTED))


def name_font(data: bytes, family: str, weight: int, unique: str) -> bytes:
    """Return a font under another family, weight and full name. Raises FontError."""
    with errors_of_damage():
        font = open_font(data)
        _rename(font, family, weight, unique)
        return _saved(font)


def _table_bytes(font: uharfbuzz.Face) -> int:
    return sum(len(font.reference_table(tag)) for tag in font.table_tags)


def _is_kin(letter: str, scripts: Set[str]) -> bool:
    of = script(letter)
    return of in scripts or (of in SHARED and unicodedata.category(letter).startswith("M"))


def _saved(font: TTFont) -> bytes:
    data = io.BytesIO()
    font.save(data, reorderTables=None)
    return data.getvalue()


def _rename(font: TTFont, family: str, weight: int, unique: str) -> None:
    table, os2 = font["name"], font["OS/2"]
    table.names = [record for record in table.names if record.nameID not in NAMES]
    for kind, value in {1: family, 2: "Regular", 3: unique, 4: unique, 6: unique}.items():
        table.setName(value, kind, 3, 1, 0x409)
    os2.usWeightClass = weight
    os2.fsSelection &= ~(REGULAR_BIT | BOLD_BIT)
    line = (os2.usWinAscent + os2.usWinDescent) / font["head"].unitsPerEm
    if line > MAX_LINE:
        os2.usWinAscent = round(os2.usWinAscent * MAX_LINE / line)
        os2.usWinDescent = round(os2.usWinDescent * MAX_LINE / line)

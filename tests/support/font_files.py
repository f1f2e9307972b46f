"""Small fonts, made as tests need them."""

from collections.abc import Iterable
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable
from fontTools.ttLib.tables.DefaultTable import DefaultTable


def make_font(
    path: Path, family: str, letters: str, empty: Iterable[str] = (), *, outlines: str = "glyf", signs: bool = False
) -> Path:
    """Write a font that has a box for each letter, but nothing for those that are `empty`; `outlines` is "glyf" or
    "CFF ", or the table of another kind of pictures. With `signs` its table of letters is that of fonts of symbols."""
    names = {ord(letter): f"u{ord(letter):04X}" for letter in letters}
    order = [".notdef", *names.values()]
    font = FontBuilder(1000, isTTF=outlines == "glyf")
    font.setupGlyphOrder(order)
    font.setupCharacterMap(names)
    blank = {names[ord(letter)] for letter in empty}
    pens = {name: TTGlyphPen(None) if outlines == "glyf" else T2CharStringPen(500, None) for name in order}
    for name, pen in pens.items():
        if name not in blank:
            pen.moveTo((50, 0))
            for point in ((50, 700), (450, 700), (450, 0)):
                pen.lineTo(point)
            pen.closePath()
    if outlines == "glyf":
        font.setupGlyf({name: pen.glyph() for name, pen in pens.items()})
    elif outlines == "CFF ":
        font.setupCFF(family, {}, {name: pen.getCharString() for name, pen in pens.items()}, {})
    else:
        font.font[outlines] = DefaultTable(outlines)
        font.font[outlines].data = b""
    font.setupHorizontalMetrics(dict.fromkeys(order, (500, 50)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    font.setupPost()
    if signs:
        table = CmapSubtable.newSubtable(4)
        table.platformID, table.platEncID, table.language = 3, 0, 0
        table.cmap = {0xF000 + code: name for code, name in names.items()}
        font.font["cmap"].tables = [table]
    font.save(path)
    return path

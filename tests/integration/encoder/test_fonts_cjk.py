"""Fonts for Chinese, Japanese and Korean: each is cut down in seconds, too many for a unit test."""

import io

from fontTools.pens.areaPen import AreaPen
from fontTools.ttLib import TTFont

from encoder.captions.faces import read_faces
from encoder.captions.font_files import bundled_files
from encoder.captions.font_making import rename
from encoder.captions.fonts import FAMILY

CJK = next(path for path in bundled_files() if path.name == "NotoSansCJK-VF.otf.ttc")


def test_a_variable_font_stands_in_at_regular_weight() -> None:
    """The thinnest is the default of some: too fine to read on a picture."""
    (chinese, *_) = read_faces(CJK)
    data = rename(chinese, FAMILY, 10, frozenset(map(ord, "漢字")))
    made = TTFont(io.BytesIO(data))
    assert set(map(ord, "漢字")) <= set(made.getBestCmap())
    assert len(made.getBestCmap()) < 20
    assert "fvar" not in made
    pens = []
    for font in (made, TTFont(CJK, fontNumber=0)):
        pen = AreaPen(glyphs := font.getGlyphSet())
        glyphs[font.getBestCmap()[ord("漢")]].draw(pen)
        pens.append(abs(pen.value))
    assert pens[0] > 2 * pens[1]

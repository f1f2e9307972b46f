"""Fonts: what is found in their files, and what a task is given to draw its letters with."""

import io
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from encoder.captions import font_making, fonts
from encoder.captions.faces import Face, drawn_letters, read_faces
from encoder.captions.font_bounds import FontError
from encoder.captions.font_files import FIRA, bundled_files
from encoder.captions.font_making import rename
from encoder.captions.fonts import FAMILY, FontLibrary, FurnishedScript
from tests.support.font_files import make_font

NOTO = {path.name.split("[")[0]: path for path in bundled_files()}
ARABIC = NOTO["NotoSansArabic"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fonts of an operator."""
    folder = tmp_path_factory.mktemp("more") / "deep"
    folder.mkdir()
    own = rename(read_faces(ARABIC)[0], "My Family", 400)
    (folder / "mine.TTF").write_bytes(own)
    (folder / "readme.txt").write_text("no font")
    (folder / "broken.ttf").write_bytes(own[:900])
    make_font(folder / "1.ttf", "One", "\U000f0000\U000f0001\U000f0002")
    make_font(folder / "2.ttf", "Two", "\u1dff\U000f0003\U000f0004")
    make_font(folder / "3.ttf", "Three", "\U000f0000\u1dff")
    make_font(folder / "late.ttf", "Late", "\U000f0005")
    return folder.parent


@pytest.fixture(scope="module")
def library(folder: Path) -> FontLibrary:
    """All fonts, read once, as the largest take long."""
    library = FontLibrary(folder)
    assert library.find_family("nowhere") == []
    return library


def given(folder: Path) -> dict[str, list[Face]]:
    """What libass would find in a folder: faces by family."""
    found: dict[str, list[Face]] = {}
    for path in sorted(folder.iterdir()):
        for face in read_faces(path):
            found.setdefault(face.family, []).append(face)
    return found


def test_latin_takes_the_bundled_family_as_it_is(library: FontLibrary, tmp_path: Path) -> None:
    text = ["Grüße, Ελλάδα, привет"]
    assert not library.furnish_captions(tmp_path / "f", FAMILY, text, bold=True, italic=True).missing
    contents = sorted(path.read_bytes() for path in (tmp_path / "f").iterdir())
    assert contents == sorted(path.read_bytes() for path in FIRA)
    for path in (tmp_path / "f").iterdir():
        assert not path.is_symlink()  # what it leads to is out of reach
        assert path.stat().st_nlink == 1  # what writes to it would change the font of every task


@pytest.mark.parametrize("bold", [False, True])
@pytest.mark.parametrize("italic", [False, True])
def test_only_the_styles_that_are_drawn_are_laid_out(
    library: FontLibrary, tmp_path: Path, bold: bool, italic: bool
) -> None:
    library.furnish_captions(tmp_path / "f", FAMILY, ["a"], bold=bold, italic=italic)
    faces = [face for path in (tmp_path / "f").iterdir() for face in read_faces(path)]
    styles = {(face.weight >= font_making.BOLD, face.italic) for face in faces}
    assert styles == {(weight, slant) for weight in {False, bold} for slant in {False, italic}}
    assert len(faces) == len(styles)


def test_a_letter_that_the_family_lacks_comes_under_its_name(library: FontLibrary, tmp_path: Path) -> None:
    assert library.furnish_script(tmp_path / "f", {FAMILY: set("aسلام")}) == FurnishedScript(
        frozenset(), frozenset(), []
    )
    found = given(tmp_path / "f")
    assert set(found) == {FAMILY}
    (stand_in,) = [face for face in found[FAMILY] if ord("س") in face.letters]
    assert stand_in.weight == fonts.LIGHT_STAND_IN  # never taken for a letter that Fira has
    assert "fvar" not in TTFont(stand_in.path)


def test_what_captions_lack_comes_under_a_name_of_its_own(library: FontLibrary, tmp_path: Path) -> None:
    lettering = library.furnish_captions(tmp_path / "f", FAMILY, ["a سلام!"])
    ((none, before), (family, arabic), (_, after)) = lettering.runs("a سلام!")
    assert (none, before, arabic, after) == ("", "a ", "سلام", "!")
    assert lettering.lacking == set("سلام")
    (stand_in,) = given(tmp_path / "f")[family]
    assert stand_in.weight == fonts.REGULAR


def test_letters_of_no_font_are_told(library: FontLibrary, tmp_path: Path) -> None:
    assert library.furnish_script(tmp_path / "f", {FAMILY: {"a", "\U000e1234"}}).missing == {"\U000e1234"}
    assert library.furnish_captions(tmp_path / "g", FAMILY, ["a\U000e1234"]).missing == {"\U000e1234"}


def test_letters_whose_fonts_are_too_many_for_a_name_are_told(library: FontLibrary, tmp_path: Path) -> None:
    letters = set("กກকகകಕకකកଓမسשሰგԲ")
    crowded = library.furnish_script(tmp_path / "f", {FAMILY: letters}).crowded
    assert len(crowded) == len(letters) - fonts.MAX_STAND_INS
    assert len(list((tmp_path / "f").glob("0-more-*"))) == fonts.MAX_STAND_INS
    assert not library.furnish_captions(tmp_path / "g", FAMILY, ["".join(letters)]).missing


def test_a_family_that_is_not_there_is_drawn_in_the_bundled_one(library: FontLibrary, tmp_path: Path) -> None:
    assert library.furnish_script(tmp_path / "f", {"Nowhere": {"a"}, FAMILY: {"a"}}).unknown == ["Nowhere"]
    found = given(tmp_path / "f")
    assert set(found) == {"Nowhere", FAMILY}
    assert {(face.weight, face.italic) for face in found["Nowhere"]} >= {(400, False), (700, False)}


def test_a_font_of_the_folder_is_found_by_family_before_others(
    library: FontLibrary, folder: Path, tmp_path: Path
) -> None:
    assert [face.family for face in library.find_family("my family")] == ["My Family"]
    library.furnish_captions(tmp_path / "f", "My Family", ["س"])
    own = (folder / "deep" / "mine.TTF").read_bytes()
    assert own in [path.read_bytes() for path in (tmp_path / "f").iterdir()]


def test_a_collection_has_several_faces(library: FontLibrary) -> None:
    names = [f"Noto Sans CJK {region}" for region in ("JP", "KR", "SC", "TC", "HK")]
    cjk = [face for name in names for face in library.find_family(name)]
    assert [face.number for face in cjk] == [0, 1, 2, 3, 4]
    assert all(ord("漢") in face.letters for face in cjk)


@pytest.mark.parametrize("data", [b"", b"no font at all", b"wOFF" + bytes(100), b"\0\1\0\0" + bytes(100), b"ttcf"])
def test_what_is_no_font_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(FontError):
        read_faces(tmp_path / "f")


def test_a_table_of_letters_without_bounds_is_refused(tmp_path: Path) -> None:
    """Two billion letters in twelve bytes would fill the memory."""
    font = FIRA[0].read_bytes()
    table = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + struct.pack(">HHIIIIII", 12, 0, 28, 0, 1, 32, 0x7FFFFFFF, 1)
    entry = font.index(b"cmap")
    bomb = font[: entry + 8] + struct.pack(">II", len(font), len(table)) + font[entry + 16 :] + table
    (tmp_path / "bomb.ttf").write_bytes(bomb)
    with pytest.raises(FontError, match="table of letters"):
        read_faces(tmp_path / "bomb.ttf")


@pytest.mark.parametrize("outlines", ["glyf", "CFF "])
def test_letters_that_show_nothing_are_taken_from_another_font(
    library: FontLibrary, tmp_path: Path, outlines: str
) -> None:
    """Fonts often have empty glyphs for letters that nobody drew."""
    path = make_font(tmp_path / "own.otf", "Own", "aé ", "é ", outlines=outlines)
    (face,) = read_faces(path)
    assert drawn_letters(face, frozenset(map(ord, "aéx "))) == {ord("a"), ord(" ")}
    lettering = library.furnish_captions(tmp_path / "f", "Own", ["aé a"], [face])
    assert [part for family, part in lettering.runs("aé a") if family] == ["é"]
    assert lettering.lacking == {"é"}


def test_a_font_of_signs_is_found_by_plain_letters(tmp_path: Path) -> None:
    (face,) = read_faces(make_font(tmp_path / "own.ttf", "Own", "ab", signs=True))
    assert face.letters == {ord("a"), ord("b")}


def test_a_font_without_outlines_cannot_be_drawn_with(tmp_path: Path) -> None:
    with pytest.raises(FontError, match="outlines"):
        read_faces(make_font(tmp_path / "own.ttf", "Own", "ab", outlines="CBDT"))


def test_a_letter_with_a_mark_comes_from_a_font_that_has_both(library: FontLibrary, tmp_path: Path) -> None:
    """Though fonts that have more of what is missing have one of them each."""
    text = "\U000f0000\u1dff\U000f0001\U000f0002\U000f0003\U000f0004"
    lettering = library.furnish_captions(tmp_path / "f", FAMILY, [text])
    assert [part for _, part in lettering.runs(text)] == [text[:2], text[2:4], text[4:]]


def test_a_large_font_keeps_what_shaping_needs() -> None:
    face = read_faces(NOTO["NotoSansThai"])[0]
    kept = TTFont(io.BytesIO(font_making.fit(face, frozenset(map(ord, "ำ")), max_whole_bytes=1000))).getBestCmap()
    assert {0x0E33, 0x0E4D, 0x0E32, 0x25CC} <= set(kept)  # sara am is drawn as two, a mark without a letter on a circle
    assert ord("a") not in kept
    assert {*map(ord, "각각")} <= font_making.closure(replace(face, letters=frozenset(range(0x10000))), {ord("각")})


def test_a_font_that_was_damaged_since_stands_in_for_nothing(
    library: FontLibrary, folder: Path, tmp_path: Path
) -> None:
    path = folder / "deep" / "late.ttf"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    try:
        assert library.furnish_captions(tmp_path / "f", FAMILY, ["\U000f0005"]).missing == {"\U000f0005"}
    finally:
        path.write_bytes(whole)

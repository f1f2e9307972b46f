"""Fonts: what is found in their files, and what a task is given to draw its letters with."""

import struct
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from encoder.captions import fonts
from encoder.captions.fonts import FAMILY, FontError, FontLibrary, read_faces

NOTO = {path.name.split("[")[0]: path for path in fonts.bundled_files()}
ARABIC = NOTO["NotoSansArabic"]


@pytest.fixture(scope="module")
def library() -> FontLibrary:
    return FontLibrary(None)


def given(folder: Path) -> dict[str, list[fonts.Face]]:
    """What libass would find in a folder: faces by family."""
    found: dict[str, list[fonts.Face]] = {}
    for path in sorted(folder.iterdir()):
        for face in read_faces(path):
            found.setdefault(face.family, []).append(face)
    return found


def test_latin_takes_the_bundled_family_as_it_is(library: FontLibrary, tmp_path: Path) -> None:
    assert library.furnish(tmp_path / "f", {FAMILY: set("Grüße, Ελλάδα, привет")}) == frozenset()
    contents = sorted(path.read_bytes() for path in (tmp_path / "f").iterdir())
    assert contents == sorted(path.read_bytes() for path in fonts.FIRA)
    for path in (tmp_path / "f").iterdir():
        assert not path.is_symlink()  # what it leads to is out of reach
        assert path.stat().st_nlink == 1  # what writes to it would change the font of every task


def test_a_letter_that_the_family_lacks_comes_under_its_name(library: FontLibrary, tmp_path: Path) -> None:
    assert library.furnish(tmp_path / "f", {FAMILY: set("aسلام")}) == frozenset()
    found = given(tmp_path / "f")
    assert set(found) == {FAMILY}
    (stand_in,) = [face for face in found[FAMILY] if ord("س") in face.letters]
    assert stand_in.weight == fonts.LIGHT_STAND_IN  # never taken for a letter that Fira has
    assert "fvar" not in TTFont(stand_in.path)


def test_letters_of_no_font_are_told(library: FontLibrary, tmp_path: Path) -> None:
    assert library.furnish(tmp_path / "f", {FAMILY: {"a", "\U000e1234"}}) == frozenset("\U000e1234")


def test_a_family_that_is_not_there_is_drawn_in_the_bundled_one(library: FontLibrary, tmp_path: Path) -> None:
    library.furnish(tmp_path / "f", {"Nowhere": {"a"}})
    found = given(tmp_path / "f")
    assert set(found) == {"Nowhere"}
    assert {(face.weight, face.italic) for face in found["Nowhere"]} >= {(400, False), (700, False)}


def test_a_font_of_the_folder_is_found_by_family_before_others(tmp_path: Path) -> None:
    more = tmp_path / "more" / "deep"
    more.mkdir(parents=True)
    own = fonts.rename(read_faces(ARABIC)[0], "My Family", 400)
    (more / "mine.TTF").write_bytes(own)
    (more / "readme.txt").write_text("no font")
    (more / "broken.ttf").write_bytes(own[:900])
    library = FontLibrary(tmp_path / "more")
    assert [face.family for face in library.find_family("my family")] == ["My Family"]
    library.furnish(tmp_path / "f", {"My Family": set("س")})
    assert own in [path.read_bytes() for path in (tmp_path / "f").iterdir()]
    assert library.find_family("nowhere") == []


def test_a_collection_has_several_faces() -> None:
    cjk = read_faces(NOTO["NotoSansCJK-VF.otf.ttc"])
    assert len(cjk) > 1
    assert all(ord("漢") in face.letters for face in cjk)


@pytest.mark.parametrize("data", [b"", b"no font at all", b"wOFF" + bytes(100), b"\0\1\0\0" + bytes(100), b"ttcf"])
def test_what_is_no_font_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(FontError):
        read_faces(tmp_path / "f")


def test_a_table_of_letters_without_bounds_is_refused(tmp_path: Path) -> None:
    """Two billion letters in twelve bytes would fill the memory."""
    font = fonts.FIRA[0].read_bytes()
    table = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + struct.pack(">HHIIIIII", 12, 0, 28, 0, 1, 32, 0x7FFFFFFF, 1)
    entry = font.index(b"cmap")
    bomb = font[: entry + 8] + struct.pack(">II", len(font), len(table)) + font[entry + 16 :] + table
    (tmp_path / "bomb.ttf").write_bytes(bomb)
    with pytest.raises(FontError, match="table of letters"):
        read_faces(tmp_path / "bomb.ttf")

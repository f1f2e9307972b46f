"""The folder of fonts that libass is given."""

from pathlib import Path

from encoder import fonts


def test_more_fonts_come_beside_the_bundled_ones(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "Extra.OTF").write_bytes(b"font")
    (more / "readme.txt").write_text("no font")
    fonts.gather(tmp_path / "fonts", more)
    gathered = list((tmp_path / "fonts").iterdir())
    assert not any(path.is_symlink() for path in gathered)  # what a link leads to is out of the sandbox's reach
    contents = [path.read_bytes() for path in gathered]
    assert sorted(map(len, contents)) == sorted([*(path.stat().st_size for path in fonts.available(None)), 4])
    assert b"font" in contents


def test_a_font_that_was_taken_away_is_gone_after_the_next_start(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "extra.ttf").write_bytes(b"font")
    fonts.gather(tmp_path / "fonts", more)
    fonts.gather(tmp_path / "fonts", None)
    assert len(list((tmp_path / "fonts").iterdir())) == len(fonts.available(None))

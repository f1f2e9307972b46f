"""The folder of fonts that libass is given."""

from pathlib import Path

from encoder import fonts


def test_more_fonts_come_beside_the_bundled_ones(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "Extra.OTF").write_bytes(b"font")
    (more / "readme.txt").write_text("no font")
    fonts.gather(tmp_path / "fonts", more)
    gathered = sorted(path.resolve().name for path in (tmp_path / "fonts").iterdir())
    assert "Extra.OTF" in gathered
    assert "readme.txt" not in gathered
    assert len(gathered) == len(fonts.available(None)) + 1


def test_a_font_that_was_taken_away_is_gone_after_the_next_start(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "extra.ttf").write_bytes(b"font")
    fonts.gather(tmp_path / "fonts", more)
    fonts.gather(tmp_path / "fonts", None)
    assert len(list((tmp_path / "fonts").iterdir())) == len(fonts.available(None))

"""The fonts that captions are drawn with: the bundled one, so that a machine without any will do, and FONTS_DIR's."""

import shutil
from pathlib import Path

import fontpkg_fira_sans

FAMILY: str = fontpkg_fira_sans.FAMILY
# Static files: libass takes 20 ms more to open a variable font, once for every video. These are the faces of <b>, <i>.
FACES = ("Regular", "Italic", "Bold", "BoldItalic")
BUNDLED = [Path(fontpkg_fira_sans.ROOT) / "files" / f"FiraSans-{face}.ttf" for face in FACES]
ENDINGS = (".ttf", ".otf", ".ttc")


def available(more: Path | None) -> list[Path]:
    """Every font file: the bundled ones first, then those in `more`."""
    given = sorted(more.iterdir()) if more else []
    return BUNDLED + [path for path in given if path.suffix.lower() in ENDINGS]


def gather(folder: Path, more: Path | None) -> None:
    """Make `folder` hold every font: libass takes one folder. Links, so that a start costs nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, path in enumerate(available(more)):
        (folder / f"{number:04}{path.suffix.lower()}").symlink_to(path.resolve())

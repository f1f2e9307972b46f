"""The fonts that captions are drawn with: the bundled one, so that a machine without any will do, and FONTS_DIR's."""

import os
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
    """Make `folder` hold every font: libass takes one folder, and it is all of the fonts that FFmpeg may see."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, path in enumerate(available(more)):
        _copy(path.resolve(), folder / f"{number:04}{path.suffix.lower()}")


def _copy(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:  # another file system, or one without links
        shutil.copyfile(path, to)

"""The fonts that captions are drawn with: the bundled one, so that a machine without any will do, and FONTS_DIR's."""

import shutil
from pathlib import Path

import fontpkg_noto_sans

FAMILY: str = fontpkg_noto_sans.FAMILY
BUNDLED = Path(fontpkg_noto_sans.ROOT) / "files"
ENDINGS = (".ttf", ".otf", ".ttc")


def available(more: Path | None) -> list[Path]:
    """Every font file: the bundled ones first, then those in `more`."""
    folders = [BUNDLED] if more is None else [BUNDLED, more]
    return [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS]


def gather(folder: Path, more: Path | None) -> None:
    """Make `folder` hold every font: libass takes one folder. Links, so that a start costs nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, path in enumerate(available(more)):
        (folder / f"{number:04}{path.suffix.lower()}").symlink_to(path.resolve())

"""Where the fonts of this machine lie."""

from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import fontpkg_fira_sans

# Static files: libass takes 20 ms more to open a variable font, once for every video. These are the faces of <b>, <i>.
FACES = ("Regular", "Italic", "Bold", "BoldItalic")
FIRA = [Path(fontpkg_fira_sans.ROOT) / "files" / f"FiraSans-{face}.ttf" for face in FACES]
# Noto for the scripts that Fira lacks, and for Chinese, Japanese and Korean where that package is installed.
PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
SYSTEM = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
ENDINGS = (".ttf", ".otf", ".ttc", ".otc")


def font_files(folder: Path | None) -> list[Path]:
    """Return the font files in a folder and the folders in it."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS) if folder else []


def bundled_files() -> list[Path]:
    """Return the font files that are installed with the encoder."""
    return FIRA + [path for folder in bundled_folders()[1:] for path in font_files(folder)]


@cache
def bundled_folders() -> tuple[Path, ...]:
    """Return the folders of those files, the bundled family first."""
    return (FIRA[0].parent, *(Path(str(files(name))) for name in PACKAGES if find_spec(name)))

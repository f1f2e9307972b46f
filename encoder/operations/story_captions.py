"""Captions of a story: made once, when it is planned, into one file for the tasks of its scenes: a script in ASS by the
clock of the film, and the fonts that it needs."""

import zipfile
from pathlib import Path
from typing import Any

from encoder.ffmpeg import filters
from encoder.media.info import Source
from encoder.operations.caption import FONTS, SCRIPT
from servicekit.errors import InvalidArgument

FIELD = "captions"
TYPE = "application/zip"
# The same as SCRIPT, where lines are broken wherever Unicode allows it.
WRAPPED_SCRIPT = "captions-wrapped.ass"
MAX_FILES, MAX_BYTES = 200, 256 * 1024 * 1024


def pack(folder: Path, result: Path, *, wrap_unicode: bool) -> None:
    """Write the script and the fonts that lie in a folder to a file."""
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.write(folder / SCRIPT, WRAPPED_SCRIPT if wrap_unicode else SCRIPT)
        for path in sorted((folder / FONTS).iterdir()):
            packed.write(path, f"{FONTS}/{path.name}")


def draw(stream: Any, source: Source, folder: Path, first_frame: int) -> Any:
    """Return the frames of a piece with its captions; the first one is number `first_frame` of the film."""
    script = _unpack(source, folder)
    by_film = stream.filter("setpts", f"PTS+{first_frame}")
    drawn = filters.draw_captions(by_film, script, FONTS, wrap_unicode=script == WRAPPED_SCRIPT)
    return drawn.filter("setpts", f"PTS-{first_frame}")


def _unpack(source: Source, folder: Path) -> str:
    """Lay the files out in a folder; return the name of the script. Raises InvalidArgument."""
    try:
        with zipfile.ZipFile(source.path) as packed:
            names = [info.filename for info in packed.infolist()]
            scripts = [name for name in names if name in (SCRIPT, WRAPPED_SCRIPT)]
            if (
                len(scripts) != 1
                or len(names) > MAX_FILES
                or sum(info.file_size for info in packed.infolist()) > MAX_BYTES
            ):
                raise _damaged()
            (folder / FONTS).mkdir(exist_ok=True)
            for name in names:
                target = folder / name if name in scripts else folder / FONTS / Path(name).name
                target.write_bytes(packed.read(name))
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged() from error
    return scripts[0]


def _damaged() -> InvalidArgument:
    return InvalidArgument("The captions of the story, which another task made, are damaged.", reason="BAD_PART")

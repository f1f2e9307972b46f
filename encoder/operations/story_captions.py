"""Captions of a story: made once, when it is planned, into one file for the tasks of its scenes: a script in ASS by the
clock of the film, and the fonts that it needs."""

import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from apigpu.v1 import video_pb2
from encoder.captions import changes
from encoder.ffmpeg import filters
from encoder.media.info import Size, Source
from encoder.operations import caption
from encoder.operations.caption import FONTS, SCRIPT
from encoder.operations.plan import PlanContext
from servicekit.errors import InvalidArgument

FIELD = "captions"
TYPE = "application/zip"
# The same as SCRIPT, where lines are broken wherever Unicode allows it.
WRAPPED_SCRIPT = "captions-wrapped.ass"
MAX_FILES, MAX_BYTES = 200, 256 * 1024 * 1024


def make(
    request: video_pb2.StoryRequest, context: PlanContext, size: Size, seconds: float
) -> tuple[video_pb2.Warning, ...] | None:
    """Make the captions of a film of this size and length, as the result of the task; return their warnings, None where
    the story has none. Raises InvalidArgument."""
    field = next((name for name in ("url_srt", "srt_text") if name in context.sources), "")
    if not field and not request.words:
        return None
    asked = video_pb2.CaptionRequest(
        url_srt=field,
        url_font=request.url_font,
        style=request.style if request.HasField("style") else None,
        words=request.words,
        charset=request.charset,
        language=request.language,
    )
    sources = {**context.sources, **({"url_srt": context.sources[field]} if field else {})}
    try:
        given = caption.read_captions(asked, replace(context, sources=sources))
        times_warnings = caption.check_times(given.captions, seconds, lambda: seconds)
        script, warnings = caption.write_captions(given, asked, context, (size.width, size.height))
    except InvalidArgument as error:
        raise _renamed(error, field) from error
    _pack(context.folder, Path(context.result), wrap_unicode=given.wraps_unicode(script))
    return (*given.decoded.warnings, *times_warnings, *warnings)


def _renamed(error: InvalidArgument, field: str) -> InvalidArgument:
    """Return a fault of the subtitles under the name that the request has for them."""
    if field in ("", "url_srt") or "url_srt" not in error.fields:
        return error
    return InvalidArgument.field(field, error.fields["url_srt"], reason=error.reason)


def _pack(folder: Path, result: Path, *, wrap_unicode: bool) -> None:
    """Write the script and the fonts that lie in a folder to a file."""
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.write(folder / SCRIPT, WRAPPED_SCRIPT if wrap_unicode else SCRIPT)
        for path in sorted((folder / FONTS).iterdir()):
            packed.write(path, f"{FONTS}/{path.name}")


def draw(stream: Any, source: Source, folder: Path, frames: range, rate: Fraction) -> Any:
    """Return the frames of a piece, which have these numbers in the film, with its captions. Raises InvalidArgument."""
    script = _unpack(source, folder)
    first_frame, seconds = frames.start, (float(frames.start / rate), float(frames.stop / rate))
    if not changes.are_shown((folder / script).read_text(encoding="utf-8"), *seconds):
        return stream
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

"""Captions of a story: made once, when it is planned, into one file for the tasks of its scenes: a script in ASS by the
clock of the film, and the fonts that it needs. Of those that every encoder has it holds no more than their SHA-256."""

import hashlib
import shutil
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from apigpu.v1 import video_pb2
from encoder.captions import changes, collisions
from encoder.captions.font_files import FIRA
from encoder.ffmpeg import filters
from encoder.media.info import Size, Source
from encoder.operations import subtitles
from encoder.operations.plan import PlanContext
from encoder.operations.subtitles import FONTS, SCRIPT, CaptionOptions
from servicekit.errors import InvalidArgument, Unimplemented

FIELD = "captions"
TYPE = "application/zip"
# The same as SCRIPT, where lines are broken wherever Unicode allows it.
WRAPPED_SCRIPT = "captions-wrapped.ass"
# In place of fonts that every encoder has.
INSTALLED = "installed"
MAX_FILES, MAX_BYTES = 200, 256 * 1024 * 1024


def make(
    request: video_pb2.StoryRequest, context: PlanContext, size: Size, rate: Fraction, seconds: float
) -> tuple[video_pb2.Warning, ...] | None:
    """Make the captions of a film of this size, rate and length, as the result of the task; return their warnings, None
    where the story has none. Raises InvalidArgument."""
    if not (request.url_srt or request.srt_text or request.words):
        return None
    options = CaptionOptions.of(request)
    captions, read_warnings = subtitles.read(options, context)
    own_faces = subtitles.read_faces(context.source("url_font")) if request.url_font else []
    times_warnings = subtitles.check_times(captions, options, seconds, lambda: seconds)
    canvas = subtitles.Canvas(size.width, size.height, rate, context.folder / FONTS)
    script, warnings = subtitles.lay_out(captions, options, context, own_faces, canvas)
    (context.folder / SCRIPT).write_text(script, encoding="utf-8")
    pack(context.folder, Path(context.result), wrap_unicode=subtitles.wraps_unicode(captions, script))
    return (*read_warnings, *times_warnings, *warnings)


def spans(context: PlanContext) -> list[tuple[float, float]]:
    """Return when the captions are shown that were made, in seconds of the film, sorted."""
    return changes.shown_spans((context.folder / SCRIPT).read_text(encoding="utf-8"))


def pack(folder: Path, result: Path, *, wrap_unicode: bool, before: bytes = b"") -> None:
    """Write the script and the fonts that lie in a folder to a file, the result of the task that plans a film, which
    tells `before` them what readers of ZIP pass over."""
    installed = _installed()
    result.write_bytes(before)
    with zipfile.ZipFile(result, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.write(folder / SCRIPT, WRAPPED_SCRIPT if wrap_unicode else SCRIPT)
        for path in sorted((folder / FONTS).iterdir()):
            digest = _digest(path)
            if digest in installed:
                packed.writestr(f"{INSTALLED}/{path.name}", digest)
            else:
                packed.write(path, f"{FONTS}/{path.name}")


def _installed() -> dict[str, Path]:
    """Return the fonts that every encoder has, by their SHA-256."""
    return {_digest(path): path for path in FIRA}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def draw(stream: Any, source: Source, folder: Path, frames: range, rate: Fraction) -> Any:
    """Return the frames of a piece, which have these numbers in the film, with its captions, which stand where they
    would in a drawing of the whole film. Raises InvalidArgument."""
    name = unpack(source, folder)
    script = (folder / name).read_text(encoding="utf-8")
    if not changes.are_shown(script, float(frames.start / rate), float(frames.stop / rate)):
        return stream
    earlier = collisions.frames_before(script, frames.start, rate)
    by_film = _by_film_clock(stream, frames.start, earlier)
    drawn = draw_script(by_film, name)
    if earlier:
        drawn = drawn.filter("trim", start_frame=len(earlier))
    return drawn.filter("setpts", f"PTS-{frames.start}")


def draw_script(stream: Any, name: str) -> Any:
    """Return frames by the clock of the film with the captions of an unpacked script."""
    return filters.draw_captions(stream, name, FONTS, wrap_unicode=name == WRAPPED_SCRIPT)


def _by_film_clock(stream: Any, first_frame: int, earlier: Sequence[int]) -> Any:
    """Return the frames of a piece by the clock of the film, after others, of which captions alone matter."""
    if not earlier:
        return stream.filter("setpts", f"PTS+{first_frame}")
    count = len(earlier)
    times = "+".join(f"eq(N,{place})*{frame}" for place, frame in enumerate(earlier))
    padded = stream.filter("tpad", start=count, start_mode="clone")
    return padded.filter("setpts", f"if(lt(N,{count}),{times},N-{count}+{first_frame})")


def unpack(source: Source, folder: Path) -> str:
    """Lay the files out in a folder; return the name of the script. Raises InvalidArgument, Unimplemented."""
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
                if name.startswith(f"{INSTALLED}/"):
                    shutil.copyfile(_find_installed(packed.read(name)), target)
                else:
                    target.write_bytes(packed.read(name))
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged() from error
    return scripts[0]


def _find_installed(digest: bytes) -> Path:
    path = _installed().get(digest.decode(errors="replace"))
    if path is None:
        text = "The story was planned with fonts of another version than this encoder's; use encoders of one version."
        raise Unimplemented(text, reason="UNKNOWN_PART")
    return path


def _damaged() -> InvalidArgument:
    return InvalidArgument("The captions of the story, which another task made, are damaged.", reason="BAD_PART")

"""frame: one picture of what caption or img2vid would make, by their own plans, for previews."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import ffmpeg

from apigpu.v1 import video_pb2
from encoder.captions import changes
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import PipedFrames
from encoder.kenburns import sampling
from encoder.kenburns.sampling import StillFrames
from encoder.media import packets, timeline
from encoder.media.info import Size
from encoder.operations import caption, img2vid, pictures, still_levels
from encoder.operations.caption import CaptionedVideo
from encoder.operations.deviations import cut_off_notes, gather, video_notes
from encoder.operations.plan import Plan, PlanContext
from servicekit.errors import ServiceError

# Of the clock by which captions are drawn, finer than any frame.
MICROSECONDS = 1_000_000
# Begins the names of fields beside the operation, which may have fields of the same names.
OWN = "."


def plan(request: video_pb2.FrameRequest, context: PlanContext) -> Plan:
    """Plan the picture, of the operation that the request has."""
    name = request.WhichOneof("operation") or "caption"
    inner = getattr(request, name)
    prefix = f"{name}."
    sources = {
        path.removeprefix(prefix): replace(source, allow_partial=inner.allow_partial)
        for path, source in context.sources.items()
    }
    with _naming_fields(prefix):
        made = PLANS[name](request, replace(context, sources=sources))
    return replace(made, runs=tuple(_named(run, prefix) for run in made.runs if isinstance(run, FfmpegRun)))


def _named(run: FfmpegRun, prefix: str) -> FfmpegRun:
    return replace(run, fields=tuple(_path(prefix, path) if path else "" for path in run.fields))


@contextlib.contextmanager
def _naming_fields(prefix: str) -> Iterator[None]:
    """Name the fields of the request inside by their paths in the whole request, in the errors of the block."""
    try:
        yield
    except ServiceError as error:
        paths = {name: _path(prefix, name) for name in error.fields}
        error.fields = {paths[name]: text for name, text in error.fields.items()}
        name = error.message.partition(":")[0]
        error.message = paths.get(name, name) + error.message.removeprefix(name)
        raise


def _path(prefix: str, name: str) -> str:
    if name.startswith(OWN):
        return name.removeprefix(OWN)
    return name if name == pictures.AT or name.startswith(prefix) else prefix + name


def _plan_caption(request: video_pb2.FrameRequest, context: PlanContext) -> Plan:
    film = caption.read(request.caption, context)
    source, info, video = film.source, film.info, film.video
    # Sound may begin before the picture.
    begins = packets.start_seconds(source, info, video, info.audio)
    ends = packets.end_seconds(source, info, video, info.audio)
    at = request.at_seconds if request.HasField("at_seconds") else _first_caption(film.script, begins, ends)
    pictures.check_within(at, ends)
    moment = pictures.moment_at(max(at, begins), source, info, video)
    shown = filters.normalize_picture(pictures.open_at(moment, source, info), info, video)
    drawn = film.draw(_at_time(pictures.begin_at(moment, shown, info), _drawn_seconds(film, moment.seconds, at)))
    size = _fitted(caption.square_pixel_size(video), request.width)
    image = pictures.as_image(filters.narrow_colors(drawn, video), video, *size)
    return Plan(
        runs=(pictures.write(image, request.format, context),),
        field=source.field,
        codec="",
        duration_seconds=0.0,
        frames_total=1,
        warnings=(*film.warnings, *gather(video_notes(source, info))),
        content_type=pictures.FORMATS[request.format][0],
    )


def _first_caption(script: str, begins: float, ends: float) -> float:
    """Return the middle of the first caption that is shown within a video; its begin where there is none."""
    spans = sorted((event.start_ms / 1000, event.end_ms / 1000) for event in changes.events(script))
    seen = ((max(start, begins), min(end, ends)) for start, end in spans)
    return next(((start + end) / 2 for start, end in seen if start < end), begins)


def _drawn_seconds(film: CaptionedVideo, shown: float, at: float) -> float:
    """Return the time by which captions are drawn on the picture that begins at `shown` and is seen at a time: that at
    which it begins; of one that stands for long, that of their last change."""
    rate = film.video.frame_rate
    if max(at - shown, 1 / rate if rate else 0.0) <= timeline.LONG_SECONDS:
        return shown
    found = changes.changes_within(changes.read_changes(film.script), shown + changes.SAME_SECONDS, at + 0.001)
    return max((shown, *(time / 1000 for time in found)))


def _at_time(picture: Any, seconds: float) -> Any:
    """Return the first picture of a stream, by a clock of its own; the next microsecond is not before a caption by any
    rounding."""
    first = picture.filter("trim", end_frame=1).filter("settb", f"1/{MICROSECONDS}")
    return first.filter("setpts", str(round(seconds * MICROSECONDS) + 1))


def _plan_img2vid(request: video_pb2.FrameRequest, context: PlanContext) -> Plan:
    source, view = img2vid.read_source(request.img2vid, context), img2vid.read_view(request.img2vid)
    count, rate = img2vid.frame_count(request.img2vid)
    at = request.at_seconds if request.HasField("at_seconds") else float(count / rate) / 2
    pictures.check_within(at, float(count / rate))
    size = _fitted((view.clip.width, view.clip.height), request.width)
    # Of a smaller picture less need be made of the still.
    clip = view.clip if size[0] >= view.clip.width else Size(*(math.ceil(side / 2) * 2 for side in size))
    number = min(math.floor(at * rate + 1e-6), count - 1)
    shown = sampling.window(view.motion, number, count)
    prepared = still_levels.prepare(source, context.folder, replace(view, clip=clip), shown=shown)
    frames = StillFrames(prepared.levels, clip, view.motion, 1, source.field, number, count)
    raw = ffmpeg.input("pipe:0", f="rawvideo", pix_fmt="yuv420p", s=f"{clip.width}x{clip.height}", r="1")
    image = pictures.hd_as_image(filters.tag_hd(raw), *size)
    return Plan(
        runs=(prepared.run, pictures.write(image, request.format, context, PipedFrames(frames))),
        field=source.field,
        codec="",
        duration_seconds=0.0,
        frames_total=1,
        warnings=(*prepared.still.warnings, *gather(cut_off_notes(source, prepared.still.info))),
        content_type=pictures.FORMATS[request.format][0],
    )


def _fitted(size: tuple[int, int], width: int) -> tuple[int, int]:
    """Return pixels across and down: those of the result, or as many across as are wanted in its shape. Raises
    InvalidArgument."""
    across, down = (width, max(round(width * size[1] / size[0]), 1)) if width else size
    return pictures.check_size(across, down, f"{OWN}width")


PLANS: Mapping[str, Callable[[video_pb2.FrameRequest, PlanContext], Plan]] = {
    "caption": _plan_caption,
    "img2vid": _plan_img2vid,
}

"""frame: one picture of what caption or img2vid would make, by their own plans, for previews."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import ffmpeg

from apigpu.v1 import video_pb2
from encoder.captions import changes
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import PipedFrames
from encoder.kenburns import sampling
from encoder.kenburns.sampling import StillFrames
from encoder.media import frame_ranges, packets, timeline
from encoder.media.info import MediaInfo, Range, Size, Source, VideoStream
from encoder.media.outlines import outline_too_small
from encoder.operations import caption, img2vid, pictures, still_levels
from encoder.operations.caption import CaptionedVideo
from encoder.operations.deviations import cut_off_notes, gather, video_notes
from encoder.operations.pictures import Moment
from encoder.operations.plan import Plan, PlanContext, Run
from servicekit.chunks import MAX_ASKS
from servicekit.errors import ServiceError

# Of the clock by which captions are drawn, finer than any frame.
MICROSECONDS = 1_000_000
FILM = "url_video"
# Begins the names of fields beside the operation, which may have fields of the same names.
OWN = "."
Wanted = tuple[tuple[str, list[Range]], ...]


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
    return replace(made, runs=tuple(_named(run, prefix) for run in made.runs))


def plan_part(request: video_pb2.FrameRequest, context: PlanContext) -> Plan:
    """Plan the picture, of a video of which what it needs has come, as an encoder of before planned it."""
    sources = {path: replace(source, is_outline=False) for path, source in context.sources.items()}
    return plan(request, replace(context, sources=sources))


def _named(run: Run, prefix: str) -> Run:
    if not isinstance(run, FfmpegRun):
        return partial(_made_named, run, prefix)
    return replace(run, fields=tuple(_path(prefix, path) if path else "" for path in run.fields))


def _made_named(make: Callable[[], FfmpegRun | None], prefix: str) -> FfmpegRun | None:
    with _naming_fields(prefix):
        run = make()
    named = _named(run, prefix) if run is not None else None
    assert named is None or isinstance(named, FfmpegRun)
    return named


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
    film_source = context.source(FILM)
    is_outline = film_source.is_outline and not context.plan_only
    if is_outline and (lacking := _lacking_index(context)):
        return Plan((), film_source.field, "", 0.0, 1, content_type=pictures.FORMATS[request.format][0], wanted=lacking)
    film = caption.read(request.caption, context)
    source, info, video = film.source, film.info, film.video
    at = request.at_seconds if request.HasField("at_seconds") else _first_caption(film)
    seen = _within(at, source, info, video)
    moment = pictures.moment_at(seen, source, info, video)
    wanted = _ranges(film, moment) if is_outline else ()
    shown = filters.normalize_picture(pictures.open_at(moment, source, info), info, video)
    drawn = film.draw(_at_time(pictures.begin_at(moment, shown, info), _drawn_seconds(film, moment.seconds, at)))
    own_size = caption.square_pixel_size(video)
    size = _fitted(own_size, request.width)
    narrow = filters.narrow_colors(drawn, video)
    is_unchanged = size == own_size and video.pixel_aspect == 1 and not video.sizes
    if is_unchanged and pictures.is_jpeg(request.format) and filters.is_hd(video):
        image = pictures.hd_as_jpeg(narrow)
    else:
        image = pictures.as_image(narrow, video, *size)
    run = pictures.write(image, request.format, context)
    return Plan(
        runs=(partial(_once_there, run, film, moment) if wanted else run,),
        field=source.field,
        codec="",
        duration_seconds=0.0,
        frames_total=1,
        warnings=(*film.warnings, *gather(video_notes(source, info))),
        content_type=pictures.FORMATS[request.format][0],
        wanted=wanted,
    )


def _lacking_index(context: PlanContext) -> Wanted:
    """Return the range of a film in which its index is, where that is to be asked for first. Raises FailedPrecondition
    where nothing can be asked for."""
    source = context.source(FILM)
    if not context.asks:
        raise outline_too_small(source)
    lacking = frame_ranges.index_range(source) if context.asks == MAX_ASKS else []
    return ((source.field, lacking),) if lacking else ()


def _ranges(film: CaptionedVideo, moment: Moment) -> Wanted:
    """Return what of a film is to be asked for to decode the picture of a moment. Raises FailedPrecondition where its
    index does not tell that."""
    ranges = frame_ranges.find(film.source, film.info, moment.seconds)
    if not ranges:
        raise outline_too_small(film.source)
    return ((film.source.field, ranges),)


def _once_there(run: FfmpegRun, film: CaptionedVideo, moment: Moment) -> FfmpegRun:
    """Return a run, now that what it reads of the film has come. Raises FailedPrecondition."""
    frame_ranges.check_size(film.source, film.info, film.video, moment.seconds)
    return run


def _shown(source: Source, info: MediaInfo, video: VideoStream) -> tuple[float, float]:
    """Return when a picture of a video is seen first, and when it ends: sound may begin before the picture."""
    begins = packets.start_seconds(source, info, video, info.audio)
    return begins, packets.end_seconds(source, info, video, info.audio)


def _within(at: float, source: Source, info: MediaInfo, video: VideoStream) -> float:
    """Return a time, or when the first picture is seen after it. Raises InvalidArgument for one past the end."""
    begins, ends = _shown(source, info, video)
    pictures.check_within(at, ends)
    return max(at, begins)


def _first_caption(film: CaptionedVideo) -> float:
    """Return the middle of the first caption that is shown within a video; its begin where there is none."""
    begins, ends = _shown(film.source, film.info, film.video)
    spans = sorted((event.start_ms / 1000, event.end_ms / 1000) for event in changes.events(film.script))
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
    tagged = filters.tag_hd(raw)
    is_plain = size == (clip.width, clip.height) and pictures.is_jpeg(request.format)
    image = pictures.hd_as_jpeg(tagged) if is_plain else pictures.hd_as_image(tagged, *size)
    return Plan(
        runs=(
            replace(prepared.run, keeps=tuple(level.path.name for level in prepared.levels)),
            pictures.write(image, request.format, context, PipedFrames(frames)),
        ),
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

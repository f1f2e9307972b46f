"""caption: subtitles burned into a video, which keeps its size, frame rate, timestamps and sound."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from apigpu.v1 import video_pb2
from encoder.audio import tracks
from encoder.captions.faces import Face
from encoder.captions.formats import Script, Subtitles
from encoder.ffmpeg import filters
from encoder.media import packets, probe
from encoder.media.info import MediaInfo, Size, Source, VideoStream
from encoder.media.outlines import OUTLINE_TOO_SMALL, outline_too_small
from encoder.operations import caption_splice, caption_split, story_captions, subtitles
from encoder.operations.caption_splice import CaptionedFilm
from encoder.operations.caption_split import SplitFilm
from encoder.operations.deviations import Note, gather, loss_notes, track_notes, video_notes
from encoder.operations.plan import Plan, PlanContext, container, is_streamable
from encoder.operations.repeats import late_notes, repeat_pictures, write_repeats
from encoder.operations.subtitles import FONTS, SCRIPT, CaptionOptions
from servicekit.errors import InvalidArgument
from servicekit.faults import Faults

MOMENTS = "repeats.nut"
IN_PIECES = "it is made in pieces, each by another encoder, as that promises to be sooner"
WATCHED = "it is made in pieces, so that it plays while it is made"
REPEATED = "pictures of it that stand for long are shown once more for its captions"


@dataclass(frozen=True)
class CaptionedVideo:
    """A video and the script of its captions, which lies in the task's folder, with what is to be told of both."""

    source: Source
    info: MediaInfo
    video: VideoStream
    script: str
    wrap_unicode: bool
    warnings: Sequence[video_pb2.Warning]

    def draw(self, picture: Any) -> Any:
        """Return a picture by the clock of the video with the captions drawn in."""
        return filters.draw_captions(picture, SCRIPT, FONTS, wrap_unicode=self.wrap_unicode)


def read(request: video_pb2.CaptionRequest, context: PlanContext) -> CaptionedVideo:
    """Read the video of a request, and lay its captions out. Raises InvalidArgument."""
    options = CaptionOptions.of(request)
    faults = Faults()
    with faults.gathering():
        captions, read_warnings = subtitles.read(options, context)
    own_faces: list[Face] = []
    if request.url_font:
        with faults.gathering():
            own_faces = subtitles.read_faces(context.source("url_font"))
    with faults.gathering(but=(OUTLINE_TOO_SMALL,)):
        source = context.source("url_video")
        info, video = probe_film(source, context)
    faults.check()
    times_warnings = _check_times(captions, options, source, info, video)
    canvas = subtitles.Canvas(*square_pixel_size(video), video.frame_rate, context.folder / FONTS)
    script, warnings = subtitles.lay_out(captions, options, context, own_faces, canvas)
    (context.folder / SCRIPT).write_text(script, encoding="utf-8")
    warnings = [*read_warnings, *times_warnings, *warnings]
    return CaptionedVideo(source, info, video, script, subtitles.wraps_unicode(captions, script), warnings)


def plan(request: video_pb2.CaptionRequest, context: PlanContext) -> Plan:
    """Plan a caption task. An odd last row or column of pixels is cropped away: H.264 in yuv420p has none."""
    film = read(request, context)
    source, info, video, script, warnings = film.source, film.info, film.video, film.script, film.warnings
    split = partial(caption_split.split, source, info, video, script, context)
    pieces = partial(_plan_pieces, request, context, film.wrap_unicode, [*warnings, *gather(_notes(source, info))])
    why_whole = _refusal(request)
    fit = caption_splice.plan_fit(source, info, video, script, context) if not why_whole else None
    in_pieces = IN_PIECES if context.workers > 1 else WATCHED
    if (parts := split(fit)) is not None:
        return pieces(parts, "" if fit is not None else why_whole or in_pieces)
    if source.is_outline and not context.plan_only:
        raise outline_too_small(source)
    whole, made = _plan_whole(request, context, film, why_whole)
    if fit is not None and made.is_whole and (parts := split()) is not None:
        return pieces(parts, made.extent().whole_reason if made.extent else in_pieces)
    return whole


def _plan_whole(
    request: video_pb2.CaptionRequest, context: PlanContext, film: CaptionedVideo, why_whole: str
) -> tuple[Plan, caption_splice.SplicedRuns]:
    """Return the plan of a video that is made here as a whole, by runs that copy what they can of it, and those."""
    source, info, video = film.source, film.info, film.video
    video_input = filters.open_input(source.path.name, info)
    picture = filters.normalize_picture(video_input, info, video)
    repeats = write_repeats(film.script, source, info, video, context.folder / MOMENTS)
    picture = repeat_pictures(picture, repeats, MOMENTS)
    frames = filters.filtered_frames(film.draw(picture), video_input, video, info.audio)
    frames = replace(frames, last=repeats.last)
    audio = [video_input[str(stream.index)] for stream in info.audio]
    output = context.output(audio, {**tracks.keep(info.audio), **container(request)}, source, source)
    whole = CaptionedFilm(source, info, video, film.script, film.draw, output, context.codec.make_run(frames, output))
    made = caption_splice.plan_runs(whole, context, why_whole or (REPEATED if repeats.count else ""))
    late = late_notes(repeats, CaptionOptions.of(request).field)
    plan = Plan(
        runs=made.runs,
        field=source.field,
        codec=made.codec,
        duration_seconds=info.duration_seconds,
        frames_total=video.frames + repeats.count,
        warnings=(*film.warnings, *gather([*_notes(source, info), *late])),
        streamable=is_streamable(request),
        size=frames.size,
        progress=made.progress,
        extent=made.extent,
    )
    return plan, made


def _refusal(request: video_pb2.CaptionRequest) -> str:
    """Return why a request has all frames encoded; "" where it does not."""
    if request.encode_all:
        return "encode_all was asked for"
    # A film that is put together comes all at once, and late.
    return "a fragmented MP4 is sent while it is made" if is_streamable(request) else ""


def probe_film(source: Source, context: PlanContext) -> tuple[MediaInfo, VideoStream]:
    """Probe the video. What is wrong with an outline of it may be that the rest is not there."""
    try:
        return probe.probe_video(source)
    except InvalidArgument as error:
        if source.is_outline and not context.plan_only:
            raise outline_too_small(source) from error
        raise


def _plan_pieces(
    request: video_pb2.CaptionRequest,
    context: PlanContext,
    wrap_unicode: bool,
    warnings: Sequence[video_pb2.Warning],
    film: SplitFilm,
    why_whole: str,
) -> Plan:
    """Return the plan of a video that goes on as pieces: its result are the captions, for these, and their indexes."""
    result, before = Path(context.result), b"".join(film.own_indexes)
    story_captions.pack(context.folder, result, wrap_unicode=wrap_unicode, before=before)
    further = caption_split.further_tasks(request, film, context.codec, why_whole, result.stat().st_size)
    return Plan(
        runs=(),
        field="url_video",
        codec="",
        duration_seconds=film.seconds,
        frames_total=film.video.frames,
        warnings=tuple(warnings),
        content_type=story_captions.TYPE,
        further=tuple(further),
        size=Size(*(side // 2 * 2 for side in film.video.rotated_size)),
    )


def _notes(source: Source, info: MediaInfo) -> Iterator[Note]:
    """Yield what the result lacks of the video, or has otherwise, beside its captions."""
    yield from video_notes(source, info)
    yield from loss_notes(source, info)
    yield from track_notes(source, info.audio)


def _check_times(
    captions: Subtitles | Script, options: CaptionOptions, source: Source, info: MediaInfo, video: VideoStream
) -> list[video_pb2.Warning]:
    """Return what `subtitles.check_times` does for a video. Only where it matters is the end of the pictures counted,
    which takes time in some files."""

    def end_seconds() -> float:
        end = packets.end_seconds(source, info, video)
        return end + packets.start_seconds(source, info, video) if info.demuxer in packets.EXACT_DURATION else end

    return subtitles.check_times(captions, options, video.duration_seconds, end_seconds)


def square_pixel_size(video: VideoStream) -> tuple[int, int]:
    """Return the width and height that a player shows, in square pixels."""
    width, height = (side // 2 * 2 for side in video.rotated_size)
    return round(width * video.rotated_aspect), height

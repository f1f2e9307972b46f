"""caption: subtitles burned into a video, which keeps its size, frame rate, timestamps and sound."""

from collections.abc import Iterator
from dataclasses import replace

from apigpu.v1 import video_pb2
from encoder.audio import tracks
from encoder.captions import cue_warnings
from encoder.captions.font_bounds import FontError
from encoder.captions.formats import Script, SubtitleError, Subtitles
from encoder.captions.lettering import breaks_anywhere
from encoder.ffmpeg import filters
from encoder.media import packets, probe
from encoder.media.info import MediaInfo, Source, VideoStream
from encoder.media.reading import note_reading
from encoder.operations import subtitles
from encoder.operations.deviations import Note, gather, loss_notes, track_notes, video_notes
from encoder.operations.plan import Plan, PlanContext, container, is_streamable
from encoder.operations.repeats import late_notes, repeat_pictures, write_repeats
from encoder.operations.subtitles import CaptionOptions

SCRIPT, FONTS, MOMENTS = "captions.ass", "fonts", "repeats.nut"


def plan(request: video_pb2.CaptionRequest, context: PlanContext) -> Plan:
    """Plan a caption task. An odd last row or column of pixels is cropped away: H.264 in yuv420p has none."""
    options = CaptionOptions.of(request)
    source = context.source("url_video")
    captions, read_warnings = subtitles.read(options, context)
    own_faces = subtitles.read_faces(context.source("url_font")) if request.url_font else []
    info, video = probe.probe_video(source)
    times_warnings = _check_times(captions, options, source, info, video)
    # From here on fonts are made to fit, which are the more work.
    note_reading("url_font" if own_faces else options.field)
    canvas = subtitles.Canvas(*_square_pixel_size(video), video.frame_rate, context.folder / FONTS)
    try:
        script, warnings = subtitles.write(captions, options, context.fonts, own_faces, canvas)
    except FontError as error:
        raise subtitles.font_error(context.source("url_font"), error) from error
    (context.folder / SCRIPT).write_text(script, encoding="utf-8")
    video_input = filters.open_input(source.path.name, info)
    picture = filters.normalize_picture(video_input, info, video)
    repeats = write_repeats(script, source, info, video, context.folder / MOMENTS)
    picture = repeat_pictures(picture, repeats, MOMENTS)
    wrap_unicode = not isinstance(captions, Script) and breaks_anywhere(script)
    captioned = filters.draw_captions(picture, SCRIPT, FONTS, wrap_unicode=wrap_unicode)
    frames = filters.filtered_frames(captioned, video_input, video, info.audio)
    frames = replace(frames, last=repeats.last)
    audio = [video_input[str(stream.index)] for stream in info.audio]
    output = context.output(audio, {**tracks.keep(info.audio), **container(request)}, source, source)
    return Plan(
        runs=(context.codec.make_run(frames, output),),
        field=source.field,
        codec=context.codec.name,
        duration_seconds=info.duration_seconds,
        frames_total=video.frames + repeats.count,
        warnings=(
            *read_warnings,
            *times_warnings,
            *warnings,
            *gather([*_notes(source, info), *late_notes(repeats, options.field)]),
        ),
        streamable=is_streamable(request),
    )


def _notes(source: Source, info: MediaInfo) -> Iterator[Note]:
    """Yield what the result lacks of the video, or has otherwise, beside its captions."""
    yield from video_notes(source, info)
    yield from loss_notes(source, info)
    yield from track_notes(source, info.audio)


def _check_times(
    captions: Subtitles | Script, options: CaptionOptions, source: Source, info: MediaInfo, video: VideoStream
) -> list[video_pb2.Warning]:
    """Return the warnings of captions that are not shown, or not all the time, as they cannot be or the video is too
    short. Raises InvalidArgument where none is."""
    timed = captions.events if isinstance(captions, Script) else captions.cues
    warnings = cue_warnings.left_out_warnings(captions.left_out)
    if isinstance(captions, Subtitles):
        warnings += cue_warnings.crowd_warnings(captions.cues)
    last_ms = max(caption.end_ms for caption in timed)
    # Only where it matters is the end of the pictures counted, which takes time in some files.
    if not last_ms > video.duration_seconds * 1000:
        return warnings
    end_seconds = packets.end_seconds(source, info, video)
    if info.demuxer in packets.EXACT_DURATION:
        end_seconds += packets.start_seconds(source, info, video)
    try:
        return warnings + cue_warnings.late_warnings(timed, end_seconds)
    except SubtitleError as error:
        raise options.bad_subtitles(error) from error


def _square_pixel_size(video: VideoStream) -> tuple[int, int]:
    """Return the width and height that a player shows, in square pixels."""
    width, height = (side // 2 * 2 for side in video.rotated_size)
    return round(width * video.rotated_aspect), height

"""caption: subtitles burned into a video, which keeps its size, frame rate, timestamps and sound."""

import itertools
from collections.abc import Sequence

from apigpu.v1 import video_pb2
from encoder.captions import ass, capitals, cue_warnings, fonts, formats, karaoke, letter_warnings
from encoder.captions.ass import Style
from encoder.captions.faces import Face, read_faces
from encoder.captions.font_bounds import FontError
from encoder.captions.formats import Cue, DecodedText, Script, SubtitleError, Subtitles
from encoder.captions.lettering import drop_from_cue, drop_from_words, has_bold, shown_text, translation_table
from encoder.ffmpeg import filters
from encoder.media import probe
from encoder.media.info import MediaInfo, Source, VideoStream, bad_input
from encoder.media.reading import note_reading
from encoder.operations.plan import Plan, PlanContext, container, is_streamable, kept_audio
from servicekit.errors import InvalidArgument

MAX_SUBTITLES_BYTES = 10 * 1024 * 1024
MAX_FONT_BYTES = 64 * 1024 * 1024
MAX_FONT_NAMES_CHARS = 200
MAX_FAMILIES = 64
SCRIPT, FONTS = "captions.ass", "fonts"
STYLE_IGNORED = video_pb2.Warning(
    reason="STYLE_IGNORED",
    message="style: these subtitles (ASS or SSA) have a look of their own, which is kept; give SubRip or WebVTT for "
    "another.",
)


def plan(request: video_pb2.CaptionRequest, context: PlanContext) -> Plan:
    """Plan a caption task. An odd last row or column of pixels is cropped away: H.264 in yuv420p has none."""
    style = ass.complete_style(request.style)
    source = context.source("url_video")
    decoded = _read_subtitles(context.source("url_srt"), request.charset)
    captions = _parse(decoded.text)
    own_faces = _read_faces(context.source("url_font")) if request.url_font else []
    info, video = probe.probe_video(source)
    times_warnings = _check_times(captions, source, info, video)
    # From here on fonts are made to fit, which are the more work.
    note_reading("url_font" if own_faces else "url_srt")
    try:
        if isinstance(captions, Script):
            script, warnings = _prepare_script(captions, request, context, own_faces)
        else:
            size = _square_pixel_size(video)
            script, warnings = _write_script(captions, request, context, own_faces, style, size)
    except FontError as error:
        raise _font_error(context.source("url_font"), error) from error
    (context.folder / SCRIPT).write_text(script, encoding="utf-8")
    video_input = filters.open_input(source.path.name, info)
    picture = filters.normalize_picture(video_input, info, video)
    captioned = filters.draw_captions(picture, SCRIPT, FONTS, wrap_unicode=not isinstance(captions, Script))
    frames = filters.filtered_frames(captioned, video_input, video, info.audio)
    audio = [video_input[str(stream.index)] for stream in info.audio]
    output = context.output(audio, {**kept_audio(info.audio), **container(request)})
    return Plan(
        runs=(context.codec.make_run(frames, output),),
        field=source.field,
        codec=context.codec.name,
        duration_seconds=info.duration_seconds,
        frames_total=video.frames,
        warnings=(*decoded.warnings, *times_warnings, *warnings),
        streamable=is_streamable(request),
    )


def _read_subtitles(source: Source, charset: str) -> DecodedText:
    note_reading(source.field)
    if source.path.stat().st_size > MAX_SUBTITLES_BYTES:
        text = f"it is larger than {MAX_SUBTITLES_BYTES} bytes; give subtitles as SubRip, WebVTT or ASS."
        raise bad_input(source, text)
    try:
        return formats.decode(source.path.read_bytes(), charset, source.charset)
    except formats.CharsetError as error:
        raise InvalidArgument.field("charset", str(error)) from error
    except SubtitleError as error:
        raise _bad_subtitles(error) from error


def _parse(text: str) -> Subtitles | Script:
    try:
        return formats.parse(text)
    except SubtitleError as error:
        raise _bad_subtitles(error) from error


def _check_times(
    captions: Subtitles | Script, source: Source, info: MediaInfo, video: VideoStream
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
    end_seconds = probe.end_seconds(source, info, video)
    if info.demuxer in probe.EXACT_DURATION:
        end_seconds += probe.start_seconds(source, info, video)
    try:
        return warnings + cue_warnings.late_warnings(timed, end_seconds)
    except SubtitleError as error:
        raise _bad_subtitles(error) from error


def _bad_subtitles(error: SubtitleError) -> InvalidArgument:
    return InvalidArgument.field("url_srt", str(error), reason="BAD_SUBTITLES")


def _read_faces(source: Source) -> list[Face]:
    note_reading(source.field)
    if source.path.stat().st_size > MAX_FONT_BYTES:
        raise bad_input(source, f"the font is larger than {MAX_FONT_BYTES} bytes; give one with fewer letters.")
    try:
        return read_faces(source.path)
    except FontError as error:
        raise _font_error(source, error) from error


def _font_error(source: Source, error: FontError) -> InvalidArgument:
    return bad_input(source, f"{error}; give a font as .ttf, .otf or .ttc.")


def _prepare_script(
    script: Script, request: video_pb2.CaptionRequest, context: PlanContext, own_faces: Sequence[Face]
) -> tuple[str, list[video_pb2.Warning]]:
    """Return a script with a look of its own as it can be drawn, and its warnings."""
    if request.words:
        raise InvalidArgument.field("words", "these subtitles (ASS or SSA) time words themselves; leave it out.")
    texts, families = script.captions(), script.families()
    # Any letter may be drawn with any family, as styles change within a line.
    letters = frozenset("".join(texts))
    wanted = dict.fromkeys(families[:MAX_FAMILIES], letters)
    furnished = context.fonts.furnish_script(context.folder / FONTS, wanted, own_faces)
    warnings = [STYLE_IGNORED] if request.HasField("style") else []
    named = script.named_families()
    warnings += letter_warnings.unknown_font_warnings(name for name in furnished.unknown if name in named)
    if names := ", ".join(families[MAX_FAMILIES:])[:MAX_FONT_NAMES_CHARS]:
        message = (
            f"captions in these fonts are not drawn: {names}; the script names too many, {MAX_FAMILIES} are the most."
        )
        warnings.append(video_pb2.Warning(reason="FONTS_LEFT_OUT", message=message, metadata={"fonts": names}))
    text = script.translate(translation_table(letters, furnished.missing))
    return text, [*warnings, *letter_warnings.of_letters(texts, furnished.missing)]


def _write_script(
    captions: Subtitles,
    request: video_pb2.CaptionRequest,
    context: PlanContext,
    own_faces: Sequence[Face],
    style: Style,
    size: tuple[int, int],
) -> tuple[str, list[video_pb2.Warning]]:
    """Return cues as a script in the requested style, and its warnings."""
    cues: Sequence[Cue] = captions.cues
    family = style.font or (own_faces[0].family if own_faces else fonts.FAMILY)
    if not any(family.casefold() in face.names for face in own_faces) and not context.fonts.find_family(family):
        raise InvalidArgument.field("style.font", f"no font '{family}' is on this encoder; give its file as url_font.")
    if request.words and not style.highlight_color:
        text = "nothing lights up in this style; take the preset karaoke, or set highlight_color."
        raise InvalidArgument.field("words", text)
    if style.highlight_color:
        karaoke.check_length(cues)
    requested_words = karaoke.match_words(cues, request.words) if request.words else []
    if style.capitals:
        language = capitals.language_of(request.language or captions.language, [cue.text for cue in cues])
        shown = [
            capitals.capitalize(cue, timed, language)
            for cue, timed in zip(cues, requested_words or itertools.repeat(()), strict=False)
        ]
        cues, requested_words = [cue for cue, _ in shown], [timed for _, timed in shown] if requested_words else []
    texts = [shown_text(cue, capitals=style.capitals) for cue in cues]
    bold = style.bold or any(map(has_bold, cues))
    lettering = context.fonts.furnish_captions(context.folder / FONTS, family, texts, own_faces, bold=bold)
    drawn_cues = [drop_from_cue(cue, lettering.missing) for cue in cues]
    words = [drop_from_words(timed, cue, lettering.missing) for timed, cue in zip(requested_words, cues, strict=False)]
    asked = style.font or own_faces
    style.font = family
    if style.highlight_color and not words:
        words = [karaoke.timed_words(cue) for cue in drawn_cues]
    script = ass.write_script(drawn_cues, *size, style, words or itertools.repeat(()), lettering)
    warnings = [
        *cue_warnings.mark_warnings(captions.ignored),
        *letter_warnings.of_letters([cue.text for cue in cues], lettering.missing),
    ]
    return script, [*warnings, *(letter_warnings.stand_in_warnings(family, lettering.lacking) if asked else [])]


def _square_pixel_size(video: VideoStream) -> tuple[int, int]:
    """Return the width and height that a player shows, in square pixels."""
    width, height = (side // 2 * 2 for side in video.rotated_size)
    return round(width * video.rotated_aspect), height

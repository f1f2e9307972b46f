"""caption: subtitles burned into a video, which keeps its size, frame rate, timestamps and sound."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import repeat

from apigpu.v1 import video_pb2
from encoder.audio import tracks
from encoder.captions import (
    ass,
    capitals,
    cue_warnings,
    fonts,
    formats,
    karaoke,
    letter_warnings,
    word_matching,
    wrapping,
)
from encoder.captions.ass import Style
from encoder.captions.faces import Face, read_faces
from encoder.captions.font_bounds import FontError
from encoder.captions.formats import Cue, DecodedText, Script, SubtitleError, Subtitles
from encoder.captions.karaoke import Word
from encoder.captions.lettering import (
    breaks_anywhere,
    drop_from_cue,
    drop_from_words,
    has_bold,
    has_drawn,
    shown_text,
    tell_script,
    translation_table,
)
from encoder.captions.line_breaks import HYPHEN
from encoder.captions.measuring import open_captions, open_script
from encoder.captions.script_lines import ScriptJudge
from encoder.captions.wrapping import CaptionFitter
from encoder.ffmpeg import filters
from encoder.media import packets, probe
from encoder.media.info import MediaInfo, Source, VideoStream, bad_input
from encoder.media.reading import note_reading
from encoder.operations.deviations import Note, gather, loss_notes, track_notes, video_notes
from encoder.operations.plan import Plan, PlanContext, container, is_streamable
from encoder.operations.repeats import late_notes, repeat_pictures, write_repeats
from servicekit.errors import InvalidArgument

MAX_SUBTITLES_BYTES = 10 * 1024 * 1024
MAX_FONT_BYTES = 64 * 1024 * 1024
MAX_FONT_NAMES_CHARS = 200
MAX_FAMILIES = 64
SCRIPT, FONTS, MOMENTS = "captions.ass", "fonts", "repeats.nut"
STYLE_IGNORED = video_pb2.Warning(
    reason="STYLE_IGNORED",
    message="style: these subtitles (ASS or SSA) have a look of their own, which is kept; give SubRip or WebVTT for "
    "another.",
)


@dataclass(frozen=True)
class GivenCaptions:
    """Captions as they were given: their look, the subtitles, what they are, and the faces of the caller's own font."""

    style: Style
    decoded: DecodedText
    captions: Subtitles | Script
    own_faces: Sequence[Face]

    def wraps_unicode(self, script: str) -> bool:
        """Return True if lines of the script that they became are broken wherever Unicode allows it."""
        return not isinstance(self.captions, Script) and breaks_anywhere(script)


def plan(request: video_pb2.CaptionRequest, context: PlanContext) -> Plan:
    """Plan a caption task. An odd last row or column of pixels is cropped away: H.264 in yuv420p has none."""
    source = context.source("url_video")
    given = read_captions(request, context)
    info, video = probe.probe_video(source)
    times_warnings = _check_times_of(given.captions, source, info, video)
    script, warnings = write_captions(given, request, context, _square_pixel_size(video))
    video_input = filters.open_input(source.path.name, info)
    picture = filters.normalize_picture(video_input, info, video)
    repeats = write_repeats(script, source, info, video, context.folder / MOMENTS)
    picture = repeat_pictures(picture, repeats, MOMENTS)
    captioned = filters.draw_captions(picture, SCRIPT, FONTS, wrap_unicode=given.wraps_unicode(script))
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
            *given.decoded.warnings,
            *times_warnings,
            *warnings,
            *gather([*_notes(source, info), *late_notes(repeats)]),
        ),
        streamable=is_streamable(request),
    )


def read_captions(request: video_pb2.CaptionRequest, context: PlanContext) -> GivenCaptions:
    """Read the subtitles of a request, and its font. Raises InvalidArgument."""
    style = ass.complete_style(request.style)
    decoded = _read_subtitles(context.source("url_srt"), request.charset)
    captions = _parse(decoded.text)
    own_faces = _read_faces(context.source("url_font")) if request.url_font else []
    return GivenCaptions(style, decoded, captions, own_faces)


def write_captions(
    given: GivenCaptions, request: video_pb2.CaptionRequest, context: PlanContext, size: tuple[int, int]
) -> tuple[str, list[video_pb2.Warning]]:
    """Write captions for pictures of a size, in square pixels, as a script with its fonts; return the script, and its
    warnings. Raises InvalidArgument."""
    # Fonts are made to fit, which are the more work.
    note_reading("url_font" if given.own_faces else "url_srt")
    try:
        if isinstance(given.captions, Script):
            script, warnings = _prepare_script(given.captions, request, context, given.own_faces, size)
        else:
            script, warnings = _write_script(given.captions, request, context, given.own_faces, given.style, size)
    except FontError as error:
        raise _font_error(context.source("url_font"), error) from error
    (context.folder / SCRIPT).write_text(script, encoding="utf-8")
    return script, warnings


def _notes(source: Source, info: MediaInfo) -> Iterator[Note]:
    """Yield what the result lacks of the video, or has otherwise, beside its captions."""
    yield from video_notes(source, info)
    yield from loss_notes(source, info)
    yield from track_notes(source, info.audio)


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


def _check_times_of(
    captions: Subtitles | Script, source: Source, info: MediaInfo, video: VideoStream
) -> list[video_pb2.Warning]:
    """Return what `check_times` does for a video. Only where it matters is the end of the pictures counted, which takes
    time in some files."""

    def end_seconds() -> float:
        end = packets.end_seconds(source, info, video)
        return end + packets.start_seconds(source, info, video) if info.demuxer in packets.EXACT_DURATION else end

    return check_times(captions, video.duration_seconds, end_seconds)


def check_times(
    captions: Subtitles | Script, about_seconds: float, end_seconds: Callable[[], float]
) -> list[video_pb2.Warning]:
    """Return the warnings of captions that are not shown, or not all the time, as they cannot be or the video is too
    short: `about_seconds`, or just so long. Raises InvalidArgument where none is."""
    timed = captions.events if isinstance(captions, Script) else captions.cues
    warnings = cue_warnings.left_out_warnings(captions.left_out)
    if isinstance(captions, Subtitles):
        warnings += cue_warnings.crowd_warnings(captions.cues)
    last_ms = max(caption.end_ms for caption in timed)
    if not last_ms > about_seconds * 1000:
        return warnings
    try:
        return warnings + cue_warnings.late_warnings(timed, end_seconds())
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
    script: Script,
    request: video_pb2.CaptionRequest,
    context: PlanContext,
    own_faces: Sequence[Face],
    size: tuple[int, int],
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
    if all(texts):  # what draws has none
        _check_drawn(letters, furnished.missing)
    warnings += letter_warnings.of_letters(texts, furnished.missing, furnished.crowded)
    warnings += ScriptJudge(open_script(context.folder / FONTS, wanted), *size).warnings(script)
    text = script.translate(translation_table(letters, furnished.missing | furnished.crowded), tell_script)
    return text, warnings


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
    given, warnings = word_matching.match_words(cues, request.words) if request.words else ([], [])
    warnings += cue_warnings.mark_warnings(captions.ignored)
    if style.capitals:
        language = capitals.language_of(request.language or captions.language, [cue.text for cue in cues])
        shown = [
            capitals.capitalize(cue, timed, language) for cue, timed in zip(cues, given or repeat(()), strict=False)
        ]
        cues, given = [cue for cue, _ in shown], [timed for _, timed in shown] if given else []
    texts = [shown_text(cue) for cue in cues]
    bold = style.bold or any(map(has_bold, cues))
    folder = context.folder / FONTS
    lettering = context.fonts.furnish_captions(folder, family, [*texts, HYPHEN], own_faces, bold=bold)
    _check_drawn(frozenset("".join(texts)), lettering.missing)
    drawn = [drop_from_cue(cue, lettering.missing) for cue in cues]
    words: Iterable[Sequence[Word]] = repeat(())
    if given:
        words = (drop_from_words(timed, cue, lettering.missing) for timed, cue in zip(given, cues, strict=True))
    elif style.highlight_color:
        words = map(karaoke.timed_words, drawn)
    warnings += letter_warnings.of_letters([cue.text for cue in cues], lettering.missing)
    if style.font or own_faces:
        warnings += letter_warnings.stand_in_warnings(family, lettering.lacking.intersection("".join(texts)))
    style.font = family
    fitter = CaptionFitter(open_captions(folder, lettering), style, *size)
    fitted = [fitter.fit(*both) for both in zip(drawn, karaoke.checked(drawn, words), strict=True)]
    script = ass.write_script([one.placed for one in fitted], *size, style, lettering)
    return script, [*warnings, *wrapping.warnings_of(fitted)]


def _check_drawn(letters: Set[str], missing: Set[str]) -> None:
    """Raise InvalidArgument for captions of which nothing would be seen."""
    if missing and not has_drawn(letters, missing):
        shown = "".join(sorted(missing))[: letter_warnings.MAX_SHOWN]
        text = f"no font here has any of its letters ({shown}); give one that has them as url_font."
        raise InvalidArgument.field("url_srt", text, reason="BAD_SUBTITLES")


def _square_pixel_size(video: VideoStream) -> tuple[int, int]:
    """Return the width and height that a player shows, in square pixels."""
    width, height = (side // 2 * 2 for side in video.rotated_size)
    return round(width * video.rotated_aspect), height

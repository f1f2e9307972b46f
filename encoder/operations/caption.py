"""caption: subtitles burned into a video, which keeps its size, frame rate, timestamps and sound."""

from collections.abc import Mapping, Sequence

from apigpu.v1 import video_pb2
from encoder.captions import ass, fonts, formats, glyphs, karaoke, style
from encoder.captions.formats import Cue, Script
from encoder.captions.formats.substation import MAX_FAMILIES
from encoder.captions.style import Style
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun
from encoder.media import probe
from encoder.operations.output import container, is_streamable, kept_audio
from encoder.operations.plan import MediaInfo, Plan, PlanContext, PlanWarning, Source, VideoStream
from servicekit.errors import InvalidArgument

MAX_SUBTITLES_BYTES = 10 * 1024 * 1024
MAX_FONT_BYTES = 64 * 1024 * 1024
MAX_TOLD = 200
SCRIPT, FONTS = "captions.ass", "fonts"
LOOK_IGNORED = PlanWarning(
    "STYLE_IGNORED",
    "style: these subtitles (ASS or SSA) have a look of their own, which is kept; give SubRip or WebVTT for another.",
)


def plan(request: video_pb2.CaptionRequest, materials: PlanContext) -> Plan:
    """See Operation. An odd last row or column of pixels is cropped away: H.264 in yuv420p has none."""
    look = style.styled(request.style)
    source = materials.source("url_video")
    captions = _captions(materials.source("url_srt"))
    own = _own_faces(materials.source("url_font")) if request.url_font else []
    info, video = probe.probe_video(source)
    try:
        if isinstance(captions, Script):
            script, warnings = _own_look(captions, request, materials, own)
        else:
            script, warnings = _our_look(captions, request, materials, own, look, _shown_size(video))
    except fonts.FontError as error:
        raise _unusable(materials.source("url_font"), error) from error
    (materials.folder / SCRIPT).write_text(script, encoding="utf-8")
    drawing = {"wrapped": not isinstance(captions, Script)}
    return Plan(
        passes=(_step(materials, source, info, video, drawing, container(request)),),
        field=source.field,
        codec=materials.codec.name,
        duration_seconds=info.duration_seconds,
        frames_total=video.frames,
        warnings=tuple(warnings),
        flows=is_streamable(request),
    )


def _captions(source: Source) -> list[Cue] | Script:
    if source.path.stat().st_size > MAX_SUBTITLES_BYTES:
        text = f"it is larger than {MAX_SUBTITLES_BYTES} bytes; give subtitles as SubRip, WebVTT or ASS."
        raise probe.fault(source, text)
    try:
        return formats.read(source.path.read_bytes())
    except formats.SubtitleError as error:
        text = str(error)
        raise InvalidArgument(f"url_srt: {text}", reason="BAD_SUBTITLES", fields={"url_srt": text}) from error


def _own_faces(source: Source) -> list[fonts.Face]:
    if source.path.stat().st_size > MAX_FONT_BYTES:
        raise probe.fault(source, f"the font is larger than {MAX_FONT_BYTES} bytes; give one with fewer letters.")
    try:
        return fonts.faces(source.path)
    except fonts.FontError as error:
        raise _unusable(source, error) from error


def _unusable(source: Source, error: fonts.FontError) -> InvalidArgument:
    return probe.fault(source, f"{error}; give a font as .ttf, .otf or .ttc.")


def _own_look(
    script: Script, request: video_pb2.CaptionRequest, materials: PlanContext, own: Sequence[fonts.Face]
) -> tuple[str, list[PlanWarning]]:
    """A script with a look of its own, and what is to be told of it."""
    if request.words:
        raise _wrong("words", "these subtitles (ASS or SSA) time words themselves; leave it out.")
    lacking = materials.fonts.furnish(materials.folder / FONTS, script.families(), own)
    warnings = [LOOK_IGNORED] if request.HasField("style") else []
    warnings += [_fonts_left_out(left)] if (left := script.left_out()) else []
    return script.without(glyphs.replaced(lacking)), [*warnings, *glyphs.warnings(script.captions(), lacking)]


def _fonts_left_out(families: Sequence[str]) -> PlanWarning:
    named = ", ".join(families)[:MAX_TOLD]
    text = f"captions in these fonts are not drawn: {named}; the script names too many, {MAX_FAMILIES} are the most."
    return PlanWarning("FONTS_LEFT_OUT", text, {"fonts": named})


def _our_look(
    cues: Sequence[Cue],
    request: video_pb2.CaptionRequest,
    materials: PlanContext,
    own: Sequence[fonts.Face],
    look: Style,
    size: tuple[int, int],
) -> tuple[str, list[PlanWarning]]:
    """Cues as a script in the look that is asked for, and what is to be told of it."""
    family = look.font or (own[0].family if own else fonts.FAMILY)
    if not any(family.casefold() in face.names for face in own) and not materials.fonts.named(family):
        raise _wrong("style.font", f"no font '{family}' is on this encoder; give its file as url_font.")
    if request.words and not look.highlight_color:
        raise _wrong("words", "nothing lights up in this style; take the preset karaoke, or set highlight_color.")
    if look.highlight_color:
        karaoke.check(cues)
    said = karaoke.given(cues, request.words) if request.words else None
    texts = [cue.text for cue in cues]
    letters = glyphs.drawn(texts, capitals=look.capitals)
    lacking = materials.fonts.furnish(materials.folder / FONTS, {family: letters}, own)
    shown = [glyphs.without(cue, lacking) for cue in cues]
    if said is not None:
        said = [glyphs.words_without(*pair, lacking) for pair in zip(said, cues, strict=True)]
    return ass.script(shown, *size, style.in_font(look, family), said), glyphs.warnings(texts, lacking)


def _wrong(field: str, text: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {text}", fields={field: text})


def _shown_size(video: VideoStream) -> tuple[int, int]:
    """Width and height that a player shows, in square pixels."""
    width, height = (side // 2 * 2 for side in video.turned_size)
    return round(width * video.turned_aspect), height


def _step(
    materials: PlanContext,
    source: Source,
    info: MediaInfo,
    video: VideoStream,
    drawing: Mapping[str, bool],
    kind: Mapping[str, str],
) -> FfmpegRun:
    given = filters.opened(source.path.name, info)
    drawn = filters.captions(filters.picture(given, info, video), SCRIPT, FONTS, **drawing)
    sound = [given[str(stream.index)] for stream in info.audio]
    return materials.codec.step(
        filters.filtered(drawn, given, video, info.audio), materials.around(sound, {**kept_audio(info.audio), **kind})
    )

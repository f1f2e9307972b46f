"""Subtitles of a request, read and written as a script that libass draws: what every operation does that has captions.

They are a file, text in the request, or words alone.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Any

from apigpu.v1 import caption_style_pb2, video_pb2
from encoder.captions import (
    ass,
    capitals,
    cue_warnings,
    cutting,
    fonts,
    formats,
    karaoke,
    letter_warnings,
    readability,
    styles,
    word_matching,
    wrapping,
)
from encoder.captions.faces import Face
from encoder.captions.faces import read_faces as read_font
from encoder.captions.font_bounds import FontError
from encoder.captions.fonts import FontLibrary
from encoder.captions.formats import Cue, Script, SubtitleError, Subtitles
from encoder.captions.karaoke import Word
from encoder.captions.lettering import (
    breaks_anywhere,
    drop_from_cue,
    drop_from_words,
    has_drawn,
    has_mark,
    shown_text,
    tell_script,
    translation_table,
)
from encoder.captions.line_breaks import HYPHEN
from encoder.captions.measuring import open_captions, open_script
from encoder.captions.script_lines import ScriptJudge
from encoder.captions.styles import Style
from encoder.captions.wrapping import CaptionFitter
from encoder.media.info import Source, bad_input
from encoder.media.reading import note_reading
from encoder.operations.plan import PlanContext
from servicekit.errors import InvalidArgument

MAX_SUBTITLES_BYTES = 10 * 1024 * 1024
MAX_FONT_BYTES = 64 * 1024 * 1024
MAX_FONT_NAMES_CHARS = 200
MAX_FAMILIES = 64
SCRIPT, FONTS = "captions.ass", "fonts"
FILE, TEXT, WORDS = "url_srt", "srt_text", "words"
STYLE_IGNORED = video_pb2.Warning(
    reason="STYLE_IGNORED",
    message="style: these subtitles (ASS or SSA) have a look of their own, which is kept; give SubRip or WebVTT for "
    "another.",
)

CUES_IGNORED = video_pb2.Warning(
    reason="CUES_IGNORED",
    message="cues: these subtitles (ASS or SSA) have captions and lines of their own, which are kept; give SubRip or "
    "WebVTT to have them cut anew.",
)


@dataclass(frozen=True)
class CaptionOptions:
    """What a request says of captions. `field` is what they come from, and to blame for them; `style` is complete, and
    `rules` are None where nothing is said."""

    field: str
    style: Style
    has_style: bool = False
    words: Sequence[caption_style_pb2.CaptionWord] = ()
    rules: caption_style_pb2.CueRules | None = None
    readability: int = caption_style_pb2.READABILITY_OFF
    charset: str = ""
    language: str = ""

    @classmethod
    def of(cls, request: Any) -> "CaptionOptions":
        """Return those of a request that has the fields of CaptionRequest by their names. Raises InvalidArgument."""
        return cls(
            field=TEXT if request.srt_text else FILE if request.url_srt or not request.words else WORDS,
            style=styles.complete_style(request.style),
            has_style=request.HasField("style"),
            words=request.words,
            rules=request.cues if request.HasField("cues") else None,
            readability=request.readability,
            charset=request.charset,
            language=request.language,
        )

    @property
    def are_cut(self) -> bool:
        """True where captions are made of their words, whatever captions they come as."""
        return self.field == WORDS or self.rules is not None or self.style.preset == Style.PRESET_WORD

    def bad_subtitles(self, error: Exception) -> InvalidArgument:
        """Return the error of subtitles that cannot be used."""
        return InvalidArgument.field(self.field, str(error), reason="BAD_SUBTITLES")


@dataclass(frozen=True)
class Canvas:
    """The picture that captions are drawn on, as it is shown, in square pixels and frames a second; and the folder for
    the fonts that it takes."""

    width: int
    height: int
    frame_rate: Fraction
    fonts_folder: Path

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def read(options: CaptionOptions, context: PlanContext) -> tuple[Subtitles | Script, Sequence[video_pb2.Warning]]:
    """Return the captions of a request, of words alone one for each word, and warnings. Raises InvalidArgument."""
    note_reading(options.field)
    try:
        if options.field == WORDS:
            return cutting.subtitles_of(options.words), ()
        source = context.source(options.field)
        if source.path.stat().st_size > MAX_SUBTITLES_BYTES:
            text = f"it is larger than {MAX_SUBTITLES_BYTES} bytes; give subtitles as SubRip, WebVTT or ASS."
            raise bad_input(source, text)
        decoded = formats.decode(source.path.read_bytes(), options.charset, source.charset)
        return formats.parse(decoded.text), decoded.warnings
    except formats.CharsetError as error:
        raise InvalidArgument.field("charset", str(error)) from error
    except SubtitleError as error:
        raise options.bad_subtitles(error) from error


def read_faces(source: Source) -> list[Face]:
    """Return the faces of a font that a request gives. Raises InvalidArgument."""
    note_reading(source.field)
    if source.path.stat().st_size > MAX_FONT_BYTES:
        raise bad_input(source, f"the font is larger than {MAX_FONT_BYTES} bytes; give one with fewer letters.")
    try:
        return read_font(source.path)
    except FontError as error:
        raise font_error(source, error) from error


def font_error(source: Source, error: FontError) -> InvalidArgument:
    """Return the error of a font that cannot be used."""
    return bad_input(source, f"{error}; give a font as .ttf, .otf or .ttc.")


def check_times(
    captions: Subtitles | Script, options: CaptionOptions, about_seconds: float, end_seconds: Callable[[], float]
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
        raise options.bad_subtitles(error) from error


def lay_out(
    captions: Subtitles | Script,
    options: CaptionOptions,
    context: PlanContext,
    own_faces: Sequence[Face],
    canvas: Canvas,
) -> tuple[str, list[video_pb2.Warning]]:
    """Return captions as a script, with its fonts laid out, and warnings. Raises InvalidArgument."""
    # Fonts are made to fit, which are the more work.
    note_reading("url_font" if own_faces else options.field)
    try:
        return write(captions, options, context.fonts, own_faces, canvas)
    except FontError as error:
        raise font_error(context.source("url_font"), error) from error


def wraps_unicode(captions: Subtitles | Script, script: str) -> bool:
    """Return True if lines of the script that captions became are broken wherever Unicode allows it."""
    return not isinstance(captions, Script) and breaks_anywhere(script)


def write(
    captions: Subtitles | Script,
    options: CaptionOptions,
    library: FontLibrary,
    own_faces: Sequence[Face],
    canvas: Canvas,
) -> tuple[str, list[video_pb2.Warning]]:
    """Return captions as a script, with its fonts laid out, and warnings. Raises InvalidArgument and FontError."""
    if isinstance(captions, Script):
        return _prepare_script(captions, options, library, own_faces, canvas)
    return _write_script(captions, options, library, own_faces, canvas)


def _prepare_script(
    script: Script,
    options: CaptionOptions,
    library: FontLibrary,
    own_faces: Sequence[Face],
    canvas: Canvas,
) -> tuple[str, list[video_pb2.Warning]]:
    """Return a script with a look of its own as it can be drawn, and its warnings."""
    if options.words:
        raise InvalidArgument.field("words", "these subtitles (ASS or SSA) time words themselves; leave it out.")
    texts, families = script.captions(), script.families()
    # Any letter may be drawn with any family, as styles change within a line.
    letters = frozenset("".join(texts))
    wanted = dict.fromkeys(families[:MAX_FAMILIES], letters)
    furnished = library.furnish_script(canvas.fonts_folder, wanted, own_faces)
    warnings = [STYLE_IGNORED] if options.has_style else []
    warnings += [CUES_IGNORED] if options.rules is not None else []
    named = script.named_families()
    warnings += letter_warnings.unknown_font_warnings(name for name in furnished.unknown if name in named)
    if names := ", ".join(families[MAX_FAMILIES:])[:MAX_FONT_NAMES_CHARS]:
        message = (
            f"captions in these fonts are not drawn: {names}; the script names too many, {MAX_FAMILIES} are the most."
        )
        warnings.append(video_pb2.Warning(reason="FONTS_LEFT_OUT", message=message, metadata={"fonts": names}))
    if all(texts):  # what draws has none
        _check_drawn(letters, furnished.missing, options)
    warnings += letter_warnings.of_letters(texts, furnished.missing, furnished.crowded)
    warnings += ScriptJudge(open_script(canvas.fonts_folder, wanted), *canvas.size).warnings(script)
    warnings += readability.warnings_of(script.events, options.readability, canvas.frame_rate)
    text = script.translate(translation_table(letters, furnished.missing | furnished.crowded), tell_script)
    return text, warnings


def _write_script(
    captions: Subtitles,
    options: CaptionOptions,
    library: FontLibrary,
    own_faces: Sequence[Face],
    canvas: Canvas,
) -> tuple[str, list[video_pb2.Warning]]:
    """Return cues as a script in the requested style, and its warnings."""
    style = Style()
    style.CopyFrom(options.style)
    family = style.font or (own_faces[0].family if own_faces else fonts.FAMILY)
    if not any(family.casefold() in face.names for face in own_faces) and not library.find_family(family):
        raise InvalidArgument.field("style.font", f"no font '{family}' is on this encoder; give its file as url_font.")
    cues, given, warnings = _timed(captions, options, canvas)
    warnings += cue_warnings.mark_warnings(captions.ignored)
    if style.capitals:
        language = capitals.language_of(options.language or captions.language, [cue.text for cue in cues])
        changed = [
            capitals.capitalize(cue, timed, language) for cue, timed in zip(cues, given or repeat(()), strict=False)
        ]
        cues, given = [cue for cue, _ in changed], [timed for _, timed in changed] if given else []
    texts = [shown_text(cue) for cue in cues]
    bold, italic = style.bold or _has_any(cues, "b"), style.italic or _has_any(cues, "i")
    folder = canvas.fonts_folder
    lettering = library.furnish_captions(folder, family, [*texts, HYPHEN], own_faces, bold=bold, italic=italic)
    _check_drawn(frozenset("".join(texts)), lettering.missing, options)
    drawn = [drop_from_cue(cue, lettering.missing) for cue in cues]
    words: Iterable[Sequence[Word]] = repeat(())
    if given:
        words = (drop_from_words(timed, cue, lettering.missing) for timed, cue in zip(given, cues, strict=True))
    elif styles.lights_up(style):
        words = map(karaoke.timed_words, drawn)
    warnings += letter_warnings.of_letters([cue.text for cue in cues], lettering.missing)
    if style.font or own_faces:
        warnings += letter_warnings.stand_in_warnings(family, lettering.lacking.intersection("".join(texts)))
    style.font = family
    fitter = CaptionFitter(open_captions(folder, lettering), style, *canvas.size)
    if options.readability in readability.LETTERS_PER_SECOND:
        shown = [fitter.wrap(cue) for cue in drawn]
        rate = canvas.frame_rate
        warnings += readability.warnings_of(shown, options.readability, rate, are_cut=options.are_cut)
    checked = karaoke.checked(drawn, words, options.field)
    fitted = [fitter.fit(*both) for both in zip(drawn, checked, strict=True)]
    script = ass.write_script([one.placed for one in fitted], *canvas.size, style, lettering)
    return script, [*warnings, *wrapping.warnings_of(fitted)]


def _has_any(cues: Iterable[Cue], tag: str) -> bool:
    return any(has_mark(cue, tag) for cue in cues)


def _timed(
    captions: Subtitles, options: CaptionOptions, canvas: Canvas
) -> tuple[Sequence[Cue], list[list[Word]], list[video_pb2.Warning]]:
    """Return captions as they are shown, the words of each where their times are known, and warnings."""
    cues, style = captions.cues, options.style
    words: list[list[Word]] = []
    warnings: list[video_pb2.Warning] = []
    if options.words and options.field != WORDS:
        if not styles.lights_up(style) and not options.are_cut:
            text = (
                "nothing lights up in this style; take the preset karaoke, set highlight_color, or have captions made "
                "of the words by cues."
            )
            raise InvalidArgument.field("words", text)
        words, warnings = word_matching.match_words(cues, options.words)
    if not options.are_cut:
        return cues, words, warnings
    rules = cutting.complete_rules(options.rules or caption_style_pb2.CueRules(), style, *canvas.size)
    try:
        return *cutting.cut(cues, words, rules), warnings
    except SubtitleError as error:
        raise options.bad_subtitles(error) from error


def _check_drawn(letters: Set[str], missing: Set[str], options: CaptionOptions) -> None:
    """Raise InvalidArgument for captions of which nothing would be seen."""
    if missing and not has_drawn(letters, missing):
        shown = "".join(sorted(missing))[: letter_warnings.MAX_SHOWN]
        text = f"no font here has any of its letters ({shown}); give one that has them as url_font."
        raise options.bad_subtitles(SubtitleError(text))

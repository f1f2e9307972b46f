"""What is told of letters that are not drawn as they were asked for."""

from collections.abc import Iterable, Sequence, Set

from apigpu.v1 import video_pb2
from encoder.captions import lettering
from encoder.captions.fonts import FAMILY
from encoder.captions.formats import MARK

MAX_WARNINGS = 40
# What a message and the metadata quote at the most.
MAX_SHOWN, MAX_TOLD = 40, 200
NO_FONT = "no font here has {}, which is left out; give one as url_font."
NO_ROOM = (
    "{} is left out: it takes more fonts than are drawn under one name; name fonts of these letters in the script, or "
    "give SubRip."
)


def of_letters(texts: Sequence[str], missing: Set[str], crowded: Set[str] = frozenset()) -> list[video_pb2.Warning]:
    """Return what there is to tell of captions whose letters `missing` no font has, and whose letters `crowded` are
    left out as one family has no room for their fonts."""
    return [
        *_missing_glyphs(texts, missing, NO_FONT),
        *_missing_glyphs(texts, crowded, NO_ROOM),
        *_emoji(texts, missing | crowded),
    ]


def _missing_glyphs(texts: Iterable[str], missing: Set[str], told: str) -> list[video_pb2.Warning]:
    """Return a warning for each caption, counted from 1, that misses letters; at most MAX_WARNINGS."""
    if not missing:
        return []
    table = lettering.translation_table((), missing)
    undrawn = {chr(code) for code, other in table.items() if other is None and code not in lettering.SKIN_TONES}
    warnings: list[video_pb2.Warning] = []
    for number, text in enumerate(texts, 1):
        letters = "".join(dict.fromkeys(letter for letter in text if letter in undrawn))
        if letters:
            message = f"caption {number}: {told.format(letters[:MAX_SHOWN])}"
            metadata = {"cue": str(number), "characters": letters[:MAX_TOLD]}
            warnings.append(video_pb2.Warning(reason="MISSING_GLYPHS", message=message, metadata=metadata))
        if len(warnings) == MAX_WARNINGS:
            break
    return warnings


def _emoji(texts: Iterable[str], missing: Set[str]) -> list[video_pb2.Warning]:
    """Return a warning if captions have emoji: they are drawn, but in one color."""
    found: dict[str, int] = {}
    for number, text in enumerate(texts, 1):
        for picture in [] if text.isascii() else lettering.emoji(MARK.sub("", text)):
            if picture[0] not in missing:
                found.setdefault(picture, number)
    if not found:
        return []
    letters, first = "".join(found), next(iter(found.values()))
    message = (
        f"caption {first}: emoji are drawn in the color of the text, not in their own: {letters[:MAX_SHOWN]}; leave "
        "them out where that is not wanted."
    )
    metadata = {"cue": str(first), "characters": letters[:MAX_TOLD]}
    return [video_pb2.Warning(reason="EMOJI_ONE_COLOR", message=message, metadata=metadata)]


def stand_in_warnings(family: str, letters: Set[str]) -> list[video_pb2.Warning]:
    """Return a warning for a family that was asked for and lacks these letters, which other fonts draw. No font of text
    has emoji."""
    shown = "".join(sorted(letter for letter in letters if not lettering.emoji(letter)))
    if not shown:
        return []
    message = (
        f"the font '{family}' lacks {shown[:MAX_SHOWN]}, which is drawn in other fonts; give one that has all letters "
        "as url_font."
    )
    metadata = {"font": family, "characters": shown[:MAX_TOLD]}
    return [video_pb2.Warning(reason="FONT_LACKS_LETTERS", message=message, metadata=metadata)]


def unknown_font_warnings(families: Iterable[str]) -> list[video_pb2.Warning]:
    """Return a warning for families that a script names and that are not on this encoder."""
    if not (names := ", ".join(families)):
        return []
    message = (
        f"no font on this encoder is called {names[:MAX_TOLD]}; these captions are drawn in {FAMILY}. Give the font as "
        "url_font."
    )
    return [video_pb2.Warning(reason="FONTS_REPLACED", message=message, metadata={"fonts": names[:MAX_TOLD]})]

"""Subtitles of any kind, detected by their content: SubRip, WebVTT, ASS and SSA."""

from encoder.captions.formats import subrip, substation, webvtt
from encoder.captions.formats.encodings import CharsetError, DecodedText, decode
from encoder.captions.formats.subrip import MARK, Cue, SubtitleError, font_color
from encoder.captions.formats.substation import Script

__all__ = [
    "MARK",
    "CharsetError",
    "Cue",
    "DecodedText",
    "Script",
    "SubtitleError",
    "decode",
    "font_color",
    "parse",
    "read",
]


def read(data: bytes) -> list[Cue] | Script:
    """Return what `parse` does for a file of which nothing is said. Raises SubtitleError."""
    return parse(decode(data).text)


def parse(text: str) -> list[Cue] | Script:
    """Return the cues of a file in its order, those without text or length left out; of ASS and SSA the script, which
    has a look of its own. Raises SubtitleError."""
    if webvtt.matches(text):
        return webvtt.parse(text)
    if substation.matches(text):
        return substation.parse(text)
    return subrip.parse(text)

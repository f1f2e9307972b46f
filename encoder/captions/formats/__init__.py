"""Subtitles in any of their kinds, told by their content: SubRip, WebVTT, ASS and SSA."""

from encoder.captions.formats import subrip, substation, webvtt
from encoder.captions.formats.cue import Cue, SubtitleError
from encoder.captions.formats.encoding import decoded
from encoder.captions.formats.substation import Script

__all__ = ["Cue", "Script", "SubtitleError", "read"]


def read(data: bytes) -> list[Cue] | Script:
    """The cues of a file in its order, those without text or length left out; of ASS and SSA the script, which has a
    look of its own. Raises SubtitleError."""
    text = decoded(data)
    if webvtt.is_it(text):
        return webvtt.parse(text)
    if substation.is_it(text):
        return substation.parse(text)
    return subrip.parse(text)

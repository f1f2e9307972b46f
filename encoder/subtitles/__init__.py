"""Subtitles in any of their kinds, told by their content: SubRip, WebVTT, ASS and SSA."""

from encoder.subtitles import subrip, substation, webvtt
from encoder.subtitles.cue import Cue, SubtitleError
from encoder.subtitles.encoding import decoded
from encoder.subtitles.substation import Script

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

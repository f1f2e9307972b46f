"""Subtitles of any kind, detected by their content: SubRip and what is like it, WebVTT, ASS and SSA, TTML, SAMI, LRC,
MicroDVD and MPL2, and the JSON of whisper."""

from typing import Protocol

from encoder.captions.formats import counted, kinds, lrc, sami, subrip, substation, transcripts, ttml, webvtt
from encoder.captions.formats.cue import MARK, Cue, LeftOut, Place, SubtitleError, Subtitles
from encoder.captions.formats.encodings import CharsetError, DecodedText, decode
from encoder.captions.formats.envelope import unwrap
from encoder.captions.formats.substation import Script

__all__ = [
    "MARK",
    "CharsetError",
    "Cue",
    "DecodedText",
    "LeftOut",
    "Place",
    "Script",
    "SubtitleError",
    "Subtitles",
    "decode",
    "name_of",
    "parse",
    "read",
]


class SubtitleReader(Protocol):
    """A module that reads a kind of subtitles."""

    def matches(self, text: str) -> bool:
        """Return True if a file is of the kind."""

    def parse(self, text: str) -> Subtitles | Script:
        """Return what the file holds. Raises SubtitleError."""


READERS: dict[str, SubtitleReader] = {
    "webvtt": webvtt,
    "ttml": ttml,
    "sami": sami,
    "json": transcripts,
    "microdvd": counted,
    "lrc": lrc,
    "ass": substation,
}
"""Of each kind but SubRip, which anything else is taken for."""
SUBRIP = "subrip"


def read(data: bytes) -> Subtitles | Script:
    """Return what `parse` does for a file of which nothing is said. Raises SubtitleError."""
    return parse(decode(data).text)


def parse(text: str) -> Subtitles | Script:
    """Return the cues of a file in its order, and what is left out of it; of ASS and SSA the script, which has a look
    of its own. Raises SubtitleError."""
    text = unwrap(text)
    if (name := _kind(text)) != SUBRIP:
        return READERS[name].parse(text)
    try:
        return subrip.parse(text)
    except SubtitleError:
        kinds.check_text(text)
        raise


def name_of(text: str) -> str:
    """Return the name of the kind that `parse` takes a file for."""
    return _kind(unwrap(text))


def _kind(text: str) -> str:
    return next((name for name, reader in READERS.items() if reader.matches(text)), SUBRIP)

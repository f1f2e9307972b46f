"""Subtitles of any kind, detected by their content: SubRip and what is like it, WebVTT, ASS and SSA, TTML, SAMI, LRC,
MicroDVD and MPL2, and the JSON of whisper."""

import codecs
import re
from typing import Protocol

from encoder.captions.formats import counted, kinds, lrc, sami, subrip, substation, transcripts, ttml, webvtt
from encoder.captions.formats.cue import MARK, Cue, LeftOut, Place, SubtitleError, Subtitles
from encoder.captions.formats.envelope import unwrap
from encoder.captions.formats.substation import Script
from servicekit.text import normalize

__all__ = ["MARK", "Cue", "LeftOut", "Place", "Script", "SubtitleError", "Subtitles", "parse", "read"]

BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
NO_TEXT = "it is not a text file; give subtitles as SubRip (.srt), WebVTT (.vtt) or ASS (.ass)."
# Of text in UTF-16 every second byte is 0 where it has digits, blanks and Latin letters: any subtitles have many.
SAMPLE_BYTES = 4096
ZEROS = 0.2
# What a tool that crashed leaves in a text; of other files it is more.
MAX_ZEROS = 0.05
CONTROLS = re.compile(r"[\x01-\x08\x0e-\x19\x1b-\x1f]")
# A file that was written as text, with the line ends of text, twice or more.
DAMAGED_END = re.compile(r"(?<!\r)\r+\n")


class SubtitleReader(Protocol):
    """A module that reads a kind of subtitles."""

    def matches(self, text: str) -> bool:
        """Return True if a file is of the kind."""

    def parse(self, text: str) -> Subtitles | Script:
        """Return what the file holds. Raises SubtitleError."""


READERS: tuple[SubtitleReader, ...] = (webvtt, ttml, sami, transcripts, counted, lrc, substation)
"""Of each kind but SubRip, which anything else is taken for."""


def read(data: bytes) -> Subtitles | Script:
    """Return what `parse` does for the text of a file. Raises SubtitleError."""
    kinds.check_bytes(data)
    return parse(_decode(data))


def parse(text: str) -> Subtitles | Script:
    """Return the cues of a file in its order, and what is left out of it; of ASS and SSA the script, which has a look
    of its own. Raises SubtitleError."""
    text = unwrap(text)
    for reader in READERS:
        if reader.matches(text):
            return reader.parse(text)
    try:
        return subrip.parse(text)
    except SubtitleError:
        kinds.check_text(text)
        raise


def _decode(data: bytes) -> str:
    """Return the text of a file, by its byte order mark, else UTF-16 or UTF-8 if it looks like it, else Windows-1252;
    lines end in \\n. Raises SubtitleError."""
    text = DAMAGED_END.sub("\n", _text(data)).replace("\r", "\n").rstrip("\0")
    if "\0" in text and (text.count("\0") > MAX_ZEROS * len(text) or CONTROLS.search(text)):
        raise SubtitleError(NO_TEXT)
    # Composed: fonts have "é" more often than they can put an accent on "e".
    return normalize("NFC", text)


def _text(data: bytes) -> str:
    for mark, name in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decode_as(data, name, "its byte order mark says")
    if wide := _utf16(data[:SAMPLE_BYTES]):
        return _decode_as(data, wide, "it looks like")
    text, whole = (data.decode("utf-8", errors=errors) for errors in ("replace", "ignore"))
    # A file that is cut in the middle of a letter is still UTF-8; letters of Windows-1252 hardly ever look like it.
    fits, bad = sum(letter > "\x7f" for letter in whole), len(text) - len(whole)
    return text if fits >= bad else data.decode("cp1252", errors="replace")


def _utf16(sample: bytes) -> str:
    """Return the codec of UTF-16 that a file looks like; "" for none."""
    for name, high, low in (("utf-16-le", sample[1::2], sample[::2]), ("utf-16-be", sample[::2], sample[1::2])):
        if high and high.count(0) / len(high) > ZEROS and 0 not in low:
            return name
    return ""


def _decode_as(data: bytes, name: str, why: str) -> str:
    try:
        return data.decode(name)
    except UnicodeDecodeError as error:
        raise SubtitleError(f"{why} {name}, but byte {error.start} does not fit; save it again.") from error

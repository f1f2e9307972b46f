"""The characters of a text file that does not say how it is encoded, and where its lines end."""

import codecs
import re
import unicodedata

from encoder.captions.formats.cue import SubtitleError

MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
NO_TEXT = "it is not a text file; give subtitles as SubRip (.srt), WebVTT (.vtt) or ASS (.ass)."
# Of text in UTF-16 every second byte is 0 where it has digits, blanks and Latin letters: any subtitles have many.
SAMPLE_BYTES = 4096
ZEROS = 0.2
# A file that was written as text, with the line ends of text, twice or more.
DAMAGED_END = re.compile(r"(?<!\r)\r+\n")


def decoded(data: bytes) -> str:
    """The text of a file, by its byte order mark, else UTF-16 or UTF-8 if it looks like it, else Windows-1252; lines
    end in \\n. Raises SubtitleError."""
    text = DAMAGED_END.sub("\n", _checked(_text(data))).replace("\r", "\n")
    # Composed: fonts have "é" more often than they can put an accent on "e".
    return unicodedata.normalize("NFC", text)


def _text(data: bytes) -> str:
    for mark, name in MARKS:
        if data.startswith(mark):
            return _decoded(data, name, "its byte order mark says")
    if wide := _utf16(data[:SAMPLE_BYTES]):
        return _decoded(data, wide, "it looks like")
    text, whole = (data.decode("utf-8", errors=errors) for errors in ("replace", "ignore"))
    # A file that is cut in the middle of a letter is still UTF-8; letters of Windows-1252 hardly ever look like it.
    fits, bad = sum(letter > "\x7f" for letter in whole), len(text) - len(whole)
    return text if fits >= bad else data.decode("cp1252", errors="replace")


def _utf16(sample: bytes) -> str:
    for name, high, low in (("utf-16-le", sample[1::2], sample[::2]), ("utf-16-be", sample[::2], sample[1::2])):
        if high and high.count(0) / len(high) > ZEROS and 0 not in low:
            return name
    return ""


def _decoded(data: bytes, name: str, why: str) -> str:
    try:
        return data.decode(name)
    except UnicodeDecodeError as error:
        raise SubtitleError(f"{why} {name}, but byte {error.start} does not fit; save it again.") from error


def _checked(text: str) -> str:
    if "\0" in text:
        raise SubtitleError(NO_TEXT)
    return text

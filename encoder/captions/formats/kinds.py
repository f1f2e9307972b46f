"""Files that are no subtitles which are read here: what they are, and what to do."""

import re

from encoder.captions.formats.cue import SubtitleError

READ = "SubRip (.srt), WebVTT (.vtt), ASS, SSA, SBV, LRC, TTML, SAMI, MPL2 or whisper's JSON"
PICTURES = "it holds pictures of text; turn them into SubRip (.srt) first, as Subtitle Edit does."
CONVERT = "convert it to SubRip (.srt) first, as Subtitle Edit does."
ARCHIVE = "unpack it, and give the file inside."
DOCUMENT = "save it as plain text, and give that."
VIDEO = "give subtitles as url_srt; 'ffmpeg -i FILE subtitles.srt' takes those of a video out of it."

BYTES: tuple[tuple[str, str, str], ...] = (
    (r"PK\x03\x04", "a ZIP archive or a document", ARCHIVE),
    (r"\x1f\x8b", "compressed by gzip", ARCHIVE),
    (r"Rar!", "a RAR archive", ARCHIVE),
    (r"7z\xbc\xaf", "a 7-Zip archive", ARCHIVE),
    (r"%PDF", "a PDF", DOCUMENT),
    (r"(?:\xef\xbb\xbf)?\{\\rtf", "rich text (RTF)", DOCUMENT),
    (r"\xd0\xcf\x11\xe0", "a document of Word or Excel", DOCUMENT),
    (r"PG.{8}[\x14-\x17\x80]", "PGS (.sup) of a Blu-ray", PICTURES),
    (r"\x00\x00\x01\xba", "VobSub (.sub) of a DVD, or a video", PICTURES),
    (r"...STL\d\d", "EBU STL", CONVERT),
    (r"\x1aE\xdf\xa3|....ftyp|RIFF", "a video or sound", VIDEO),
    (r"\x89PNG|\xff\xd8\xff|GIF8", "a picture", f"give {READ}."),
)
"""Patterns of first bytes, as Latin-1, what they are of, and what to do."""

TEXTS: tuple[tuple[str, str, str], ...] = (
    (r"Scenarist_SCC", "SCC (Scenarist Closed Captions)", CONVERT),
    (r"# VobSub index file", "the index (.idx) of VobSub, whose other half (.sub) it needs", PICTURES),
    (r"\$\w+\s*=|(?:\d\d:){3}\d\d\s*,\s*(?:\d\d:){3}\d\d\s*,", "Spruce STL", CONVERT),
    (r"\d{1,2}:\d\d:\d\d[:=]\D", "TMPlayer", CONVERT),
    (r"start\tend\ttext", "a table (TSV)", "give the .srt or .json that whisper writes beside it."),
    (r"#EXTM3U", "a playlist (HLS)", "give the file of subtitles that it names."),
    (r"<\?xml|<\w+[\s>]", "XML of a kind that is not read here", f"give {READ}."),
)
"""Patterns of first lines, what they are of, and what to do."""
MAX_CHARS = 200


def check_bytes(data: bytes) -> None:
    """Raise SubtitleError for a file that is known for something else by its first bytes."""
    _check(data[:MAX_CHARS].decode("latin-1"), BYTES)


def check_text(text: str) -> None:
    """Raise SubtitleError for text that is known for another kind of file by its first line."""
    _check(text.lstrip()[:MAX_CHARS], TEXTS)


def _check(head: str, table: tuple[tuple[str, str, str], ...]) -> None:
    for pattern, what, advice in table:
        if re.match(pattern, head, re.DOTALL):
            raise SubtitleError(f"it is {what}; {advice}")

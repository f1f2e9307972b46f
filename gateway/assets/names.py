"""Names of files as clients give them: made harmless, and read for the MIME type."""

import mimetypes
import re
import unicodedata
from pathlib import PurePosixPath

MAX_NAME_BYTES = 200
MAX_SUFFIX_BYTES = 20
DEFAULT_TYPE = "application/octet-stream"
# Beside Python's own table, which lacks them or did before 3.13. Source: IANA's media types, and what browsers send.
TYPES = {
    ".aac": "audio/aac",
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".heic": "image/heic",
    ".m4a": "audio/mp4",
    ".mkv": "video/x-matroska",
    ".ogg": "audio/ogg",
    ".srt": "application/x-subrip",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".webp": "image/webp",
}
# Endings of what encoders make, for types that have several.
ENDINGS = {"image/jpeg": ".jpg", "video/mp4": ".mp4"}
VIDEO_ENDING = ENDINGS["video/mp4"]
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


def _table() -> mimetypes.MimeTypes:
    table = mimetypes.MimeTypes()
    for suffix, content_type in TYPES.items():
        table.add_type(content_type, suffix)
    return table


_MIME_TYPES = _table()


def clean_filename(name: str) -> str:
    """The name without folders, control and formatting characters, at most MAX_NAME_BYTES of UTF-8, its ending kept.

    "" when nothing is left. Quotes and the like stay: who puts it in a header quotes it.
    """
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    # Categories C: control, format (which can turn the direction of text), surrogates, private use, unassigned.
    kept = "".join(character for character in last if unicodedata.category(character)[0] != "C")
    kept = " ".join(kept.split())
    return "" if set(kept) <= {"."} else _shortened(kept)


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > MAX_SUFFIX_BYTES:
        suffix = ""
    stem = name.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode(errors="ignore")
    return stem.rstrip() + suffix


def name_for_type(filename: str, content_type: str) -> str:
    """Return the name of an MP4 with the ending of a MIME type in place of its own; "" is taken for MP4."""
    if not content_type:
        return filename
    ending = ENDINGS.get(content_type) or _MIME_TYPES.guess_extension(content_type) or ""
    return filename.removesuffix(VIDEO_ENDING) + ending


def content_type(filename: str, given: str = "") -> str:
    """The MIME type: `given` (parameters dropped) where it is one, else by the name's ending, else DEFAULT_TYPE."""
    bare = given.partition(";")[0].strip().lower()
    if _TYPE.fullmatch(bare):
        return bare
    suffix = PurePosixPath(filename).suffix.lower()
    return _MIME_TYPES.types_map[True].get(suffix, DEFAULT_TYPE)

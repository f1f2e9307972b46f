"""Media types by the names of files, and their parameters (Content-Type). Source: RFC 9110, 8.3.1 and 8.3.2."""

import mimetypes
import re
from pathlib import PurePosixPath

# Types that Python's own table lacks, or lacked before 3.13. Source: IANA's media types, and what browsers send.
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

MAX_CHARS = 1000
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,39}"
_CHARSET = re.compile(rf";\s*charset\s*=\s*([\"']?)({_NAME})\1\s*(?:;|$)", re.IGNORECASE)

_MIME_TYPES = mimetypes.MimeTypes()
for _suffix, _media_type in TYPES.items():
    _MIME_TYPES.add_type(_media_type, _suffix)
# Suffixes, for media types that have several.
SUFFIXES = {"image/jpeg": ".jpg", "video/mp4": ".mp4"}


def of_filename(filename: str) -> str:
    """Return the media type by the suffix of a file's name; "" where that is not known."""
    return _MIME_TYPES.types_map[True].get(PurePosixPath(filename).suffix.lower(), "")


def suffix_of(media_type: str) -> str:
    """Return the suffix of files of a media type; "" where none is known."""
    return SUFFIXES.get(media_type) or _MIME_TYPES.guess_extension(media_type) or ""


def charset(content_type: str) -> str:
    """Return the `charset` of a Content-Type; "" where it has none, or one that is no name."""
    found = _CHARSET.search(content_type[:MAX_CHARS])
    return found[2] if found else ""


def known_name(name: str) -> str:
    """Return what may be the name of an encoding as it is, anything else as ""."""
    return name if re.fullmatch(_NAME, name) else ""

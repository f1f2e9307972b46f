"""Outlines: inputs of which only the head and the tail have come, which is enough for most kinds of files."""

from encoder.media.info import MediaInfo, Source
from servicekit.errors import FailedPrecondition

OUTLINE_TOO_SMALL = "OUTLINE_TOO_SMALL"
# Files that tell at their head or at their end how long they are. Of MP3 only those that have a head of their own do.
TELLING = ("mov", "matroska", "wav", "w64", "flac", "aiff", "caf", "mp3")
MP3_HEADS, MP3_HEAD_BYTES = (b"Xing", b"Info", b"VBRI"), 1024 * 1024


def tells_length(source: Source, info: MediaInfo) -> bool:
    """Return True for a kind of file whose head or tail tells how long it is."""
    if info.demuxer != "mp3":
        return info.demuxer in TELLING
    with source.path.open("rb") as file:
        head = file.read(MP3_HEAD_BYTES)
    return any(mark in head for mark in MP3_HEADS)


def check_read_whole(source: Source, demuxer: str) -> None:
    """Raise FailedPrecondition for an outline whose packets are to be read, where no index tells of those in the
    hole."""
    if source.is_outline and demuxer != "mov":
        raise outline_too_small(source)


def outline_too_small(source: Source) -> FailedPrecondition:
    """Return the error by which an input is sent whole."""
    text = f"{source.field}: more of it must be read than its head and its end."
    return FailedPrecondition(text, reason=OUTLINE_TOO_SMALL, fields={source.field: "is not all there"})

"""Edit lists: which part of what the tracks of a finished MP4 hold is shown (ISO/IEC 14496-12, 8.6.6).

Where B-frames are, the last picture before a cut may need one that is shown after it and stored before it. Copied
packets then end with pictures that only serve as references: an edit that ends at the cut has players decode them and
not show them.
"""

import struct
from pathlib import Path

from encoder.boxes import Box, boxes, find

# By the version of the box: where in its body the length lies, how it is packed.
MOVIE_SCALE = {0: (12, ">I"), 1: (20, ">I")}
MOVIE_LENGTH = {0: (16, ">I"), 1: (24, ">Q")}
TRACK_LENGTH = {0: (20, ">I"), 1: (28, ">Q")}
# Bytes of an entry, which begins with its length.
ENTRY = {0: (12, ">I"), 1: (20, ">Q")}
ENTRIES_START = 8


def end_at(path: Path, seconds: float) -> None:
    """Have every track of an MP4 end at `seconds` from its start, unless it ends before. Written in place: no box
    changes its size. Raises ValueError when the file is no MP4 with an edit list for each track."""
    with path.open("r+b") as file:
        place = find(file, b"moov")
        file.seek(place.start)
        movie = bytearray(file.read(place.end - place.start))
        _cut(movie, seconds)
        file.seek(place.start)
        file.write(movie)


def _cut(movie: bytearray, seconds: float) -> None:
    parts = list(boxes(movie, 0, len(movie)))
    header = _only(parts, b"mvhd")
    # Rounded down: a picture that begins at the very end is not to be shown.
    limit = int(seconds * _number(movie, header, MOVIE_SCALE) + 1e-6)
    lengths = [_cut_track(movie, box, limit) for box in parts if box.kind == b"trak"]
    _put(movie, header, MOVIE_LENGTH, max(lengths, default=0))


def _cut_track(movie: bytearray, track: Box, limit: int) -> int:
    """Cut a track to `limit`; its length then. Both in the time scale of the movie."""
    parts = list(boxes(movie, track.start, track.end))
    edits = _only(parts, b"edts")
    entries = _only(list(boxes(movie, edits.start, edits.end)), b"elst")
    size, form = ENTRY[movie[entries.start]]
    total = 0
    for place in range(entries.start + ENTRIES_START, entries.end - size + 1, size):
        length = min(struct.unpack_from(form, movie, place)[0], limit - total)
        struct.pack_into(form, movie, place, length)
        total += length
    _put(movie, _only(parts, b"tkhd"), TRACK_LENGTH, total)
    return total


def _only(parts: list[Box], kind: bytes) -> Box:
    found = [box for box in parts if box.kind == kind]
    if len(found) != 1:
        raise ValueError(f"{len(found)} boxes {kind!r} where one belongs")
    return found[0]


def _number(movie: bytearray, box: Box, layout: dict[int, tuple[int, str]]) -> int:
    offset, form = layout[movie[box.start]]
    value: int = struct.unpack_from(form, movie, box.start + offset)[0]
    return value


def _put(movie: bytearray, box: Box, layout: dict[int, tuple[int, str]], value: int) -> None:
    offset, form = layout[movie[box.start]]
    struct.pack_into(form, movie, box.start + offset, value)

"""Boxes of the MP4 family (ISO base media), and edit lists of finished MP4 files. Source: ISO/IEC 14496-12, 8.6.6."""

import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

SIZE_AND_KIND = struct.Struct(">I4s")
LARGE_SIZE = struct.Struct(">Q")
# As many as a day in fragments of a second has.
MAX_BOXES = 1_000_000


@dataclass(frozen=True)
class Box:
    """Where the body of a box lies."""

    kind: bytes
    start: int
    end: int


def iter_boxes(data: "mmap.mmap | bytes | bytearray", start: int, end: int) -> Iterator[Box]:
    """Yield the boxes that follow each other from `start` to `end`. Raises ValueError for one that cannot be."""
    while start < end:
        if end - start < SIZE_AND_KIND.size:
            raise ValueError("a box is cut off")
        size, kind = SIZE_AND_KIND.unpack_from(data, start)
        header = SIZE_AND_KIND.size
        if size == 1:
            header += LARGE_SIZE.size
            size = LARGE_SIZE.unpack_from(data, start + SIZE_AND_KIND.size)[0] if header <= end - start else 0
        elif size == 0:
            size = end - start
        if not header <= size <= end - start:
            raise ValueError(f"the box {kind!r} has a size that cannot be")
        yield Box(kind, start + header, start + size)
        start += size


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a file that is not empty into memory until the block is left."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def first_box(data: mmap.mmap, kind: bytes) -> Box:
    """Return the first box of a kind in a file. Raises ValueError when there is none."""
    for box in islice(iter_boxes(data, 0, len(data)), MAX_BOXES):
        if box.kind == kind:
            return box
    raise ValueError(f"no box {kind!r}")


# Of a movie or a medium, by the version of the box: where in its body the number lies, how it is packed.
TIME_SCALE = {0: (12, ">I"), 1: (20, ">I")}
MOVIE_LENGTH = {0: (16, ">I"), 1: (24, ">Q")}
TRACK_LENGTH = {0: (20, ">I"), 1: (28, ">Q")}
# The first number of what turns a track, 0 where across becomes down; and how wide it is.
TRACK_MATRIX = {0: (40, ">i"), 1: (52, ">i")}
TRACK_WIDTH = {0: (76, ">I"), 1: (88, ">I")}
# Bytes of an entry, which begins with its length.
ENTRY = {0: (12, ">I"), 1: (20, ">Q")}
ENTRIES_START = 8


def end_edit_lists(path: Path, seconds: float) -> None:
    """Have every track of an MP4 end at `seconds` from its start, unless it ends before. Written in place: no box
    changes its size. Raises ValueError when the file is no MP4 with an edit list for each track.

    Where B-frames are, the last picture before a cut may need one that is shown after it and stored before it. Copied
    packets then end with pictures that only serve as references: an edit that ends at the cut has players decode them
    and not show them.
    """
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as movie:
        place = first_box(movie, b"moov")
        parts = list(iter_boxes(movie, place.start, place.end))
        header = only_box(parts, b"mvhd")
        # Rounded down: a picture that begins at the very end is not to be shown.
        limit = int(seconds * read_number(movie, header, TIME_SCALE) + 1e-6)
        lengths = [_cut_track(movie, box, limit) for box in parts if box.kind == b"trak"]
        _write_number(movie, header, MOVIE_LENGTH, max(lengths, default=0))


def _cut_track(movie: mmap.mmap, track: Box, limit: int) -> int:
    """Cut a track to `limit`; return its length then. Both in the time scale of the movie."""
    parts = list(iter_boxes(movie, track.start, track.end))
    edits = only_box(parts, b"edts")
    entries = only_box(list(iter_boxes(movie, edits.start, edits.end)), b"elst")
    size, form = ENTRY[movie[entries.start]]
    total = 0
    for place in range(entries.start + ENTRIES_START, entries.end - size + 1, size):
        length = min(struct.unpack_from(form, movie, place)[0], limit - total)
        struct.pack_into(form, movie, place, length)
        total += length
    _write_number(movie, only_box(parts, b"tkhd"), TRACK_LENGTH, total)
    return total


def is_on_its_side(path: Path) -> bool:
    """Return True for an MP4 whose picture is turned by a quarter to either side, by the header of its first track that
    has a size. Raises ValueError for what has none."""
    with mapped(path) as data:
        movie = next(box for box in iter_boxes(data, 0, len(data)) if box.kind == b"moov")
        for track in iter_boxes(data, movie.start, movie.end):
            if track.kind == b"trak":
                header = only_box(list(iter_boxes(data, track.start, track.end)), b"tkhd")
                if read_number(data, header, TRACK_WIDTH):
                    return not read_number(data, header, TRACK_MATRIX)
    raise ValueError("no track has a size")


def only_box(parts: Sequence[Box], kind: bytes) -> Box:
    """Return the box of a kind. Raises ValueError where there is not just one."""
    found = [box for box in parts if box.kind == kind]
    if len(found) != 1:
        raise ValueError(f"{len(found)} boxes {kind!r} where one belongs")
    return found[0]


def read_number(movie: "mmap.mmap | bytes | bytearray", box: Box, layout: dict[int, tuple[int, str]]) -> int:
    """Return a number of a box that has versions, by where it lies in each."""
    offset, form = layout[movie[box.start]]
    value: int = struct.unpack_from(form, movie, box.start + offset)[0]
    return value


def _write_number(movie: mmap.mmap, box: Box, layout: dict[int, tuple[int, str]], value: int) -> None:
    offset, form = layout[movie[box.start]]
    struct.pack_into(form, movie, box.start + offset, value)

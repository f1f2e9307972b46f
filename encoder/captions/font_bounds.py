"""Bounds on font files, held against their bytes before fontTools spells them out: what a few kilobytes claim can take
gigabytes.

Source: OpenType specification, "cmap", "name" and "Font Collections".
"""

import io
import struct

import numpy as np
from fontTools.ttLib.sfnt import readTTCHeader

# The largest collections have about fifty. More offsets than MAX_OFFSETS take long to read, even if all are the same.
MAX_FACES, MAX_OFFSETS = 64, 1024
MAX_CODE = 0x10FFFF
# Of all faces of a file, and of all tables of letters of a face.
MAX_LETTERS = 2 * (MAX_CODE + 1)
MAX_SUBTABLES = 128
GROUPED_FORMATS = (8, 12, 13)
# Records of names, which fontTools reads in quadratic time, and what they hold together.
MAX_NAMES, MAX_NAME_BYTES = 4096, 4 * 1024 * 1024
NAME_RECORD = np.dtype([("kind", ">u2", (4,)), ("length", ">u2"), ("offset", ">u2")])


class FontError(ValueError):
    """A file is no font that can be used."""


def distinct_faces(collection: bytes) -> list[int]:
    """Return the numbers of the fonts in a collection, the first of those that are the same. Raises FontError for too
    many."""
    (count,) = struct.unpack_from(">L", collection, 8)
    if count > MAX_OFFSETS:
        raise FontError(f"it has more than {MAX_FACES} fonts")
    header = readTTCHeader(io.BytesIO(collection))
    offsets = getattr(header, "offsetTable2", header.offsetTable)
    first = {offset: number for number, offset in reversed(list(enumerate(offsets)))}
    if len(first) > MAX_FACES or len(offsets) > MAX_OFFSETS:
        raise FontError(f"it has more than {MAX_FACES} fonts")
    return sorted(first.values())


def check_letters(table: bytes) -> int:
    """Return how many letters the ranges of a table of letters ("cmap") have. Raises FontError for one that would fill
    the memory when they are spelled out."""
    (count,) = struct.unpack_from(">H", table, 2)
    if count > MAX_SUBTABLES:
        raise FontError("its table of letters is damaged")
    starts = {struct.unpack_from(">I", table, 8 + 8 * number)[0] for number in range(count)}
    letters = [_grouped_letters(table, start) for start in starts]
    if max(letters, default=0) > MAX_CODE + 1 or sum(letters) > MAX_LETTERS:
        raise FontError("its table of letters is damaged")
    return sum(letters)


def _grouped_letters(table: bytes, start: int) -> int:
    """Return how many letters the ranges of a subtable have; 0 where its format lists them one by one."""
    (form,) = struct.unpack_from(">H", table, start)
    if form not in GROUPED_FORMATS:
        return 0
    first = start + (12 if form != 8 else 12 + 8192)
    (groups,) = struct.unpack_from(">I", table, first)
    data = table[first + 4 : first + 4 + 12 * groups]
    ranges = np.frombuffer(data[: len(data) // 12 * 12], ">u4").reshape(-1, 3).astype(np.int64)
    return int(np.maximum(ranges[:, 1] - ranges[:, 0] + 1, 1).sum())


def check_names(table: bytes) -> None:
    """Raise FontError for a table of names ("name") that would fill the memory when they are spelled out."""
    (count,) = struct.unpack_from(">H", table, 2)
    records = np.frombuffer(table[6 : 6 + 12 * count][: 12 * ((len(table) - 6) // 12)], NAME_RECORD)
    if count > MAX_NAMES or records["length"].sum(dtype=np.int64) > MAX_NAME_BYTES:
        raise FontError("its table of names is too large")

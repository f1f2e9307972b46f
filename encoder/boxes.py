"""Boxes: what files of the family of MP4 are made of (ISO/IEC 14496-12, 4.2)."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SIZE_AND_KIND = struct.Struct(">I4s")
LARGE_SIZE = struct.Struct(">Q")


@dataclass(frozen=True)
class Box:
    """Where the body of a box lies."""

    kind: bytes
    start: int
    end: int


def find(file: BinaryIO, kind: bytes) -> Box:
    """The first box of a kind in a file. Raises ValueError when there is none, or the file is damaged."""
    size, start = os.fstat(file.fileno()).st_size, 0
    while start < size:
        file.seek(start)
        box = _box(file.read(SIZE_AND_KIND.size + LARGE_SIZE.size), 0, size - start)
        if box.kind == kind:
            return Box(kind, start + box.start, start + box.end)
        start += box.end
    raise ValueError(f"no box {kind!r}")


def boxes(data: bytes | bytearray, start: int, end: int) -> Iterator[Box]:
    """The boxes that follow each other from `start` to `end`. Raises ValueError for one that cannot be."""
    while start < end:
        box = _box(data, start, end)
        yield box
        start = box.end


def _box(data: bytes | bytearray, start: int, end: int) -> Box:
    """The box that begins at `start`, in a body or file that ends at `end`."""
    if len(data) - start < SIZE_AND_KIND.size:
        raise ValueError("a box is cut off")
    size, kind = SIZE_AND_KIND.unpack_from(data, start)
    header = SIZE_AND_KIND.size
    if size == 1:
        size = LARGE_SIZE.unpack_from(data, start + header)[0]
        header += LARGE_SIZE.size
    elif size == 0:
        size = end - start
    if not header <= size <= end - start:
        raise ValueError(f"the box {kind!r} has a size that cannot be")
    return Box(kind, start + header, start + size)

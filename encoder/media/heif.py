"""HEIF, the container of HEIC and AVIF: how large a picture is that is put together of tiles (ISO/IEC 23008-12)."""

import struct
from pathlib import Path

from encoder.media.mp4_boxes import Box, find_box, iter_boxes

SIZE = struct.Struct(">II")
VERSION_BYTES = 4
MAX_META_BYTES = 1024 * 1024


def grid_size(path: Path) -> tuple[int, int]:
    """Width and height of the largest picture that a file describes, before it is turned: of tiles and thumbnails
    beside it, none is larger than the whole. Raises ValueError when it describes none."""
    with path.open("rb") as file:
        place = find_box(file, b"meta")
        file.seek(place.start)
        meta = file.read(min(place.end - place.start, MAX_META_BYTES))
    sizes = [
        SIZE.unpack_from(meta, size.start + VERSION_BYTES)
        for properties in _within(meta, Box(b"meta", VERSION_BYTES, len(meta)), b"iprp")
        for container in _within(meta, properties, b"ipco")
        for size in _within(meta, container, b"ispe")
        if size.end - size.start >= VERSION_BYTES + SIZE.size
    ]
    if not sizes:
        raise ValueError("no size of a picture")
    return max(sizes, key=lambda size: size[0] * size[1])


def _within(data: bytes, box: Box, kind: bytes) -> list[Box]:
    return [part for part in iter_boxes(data, box.start, box.end) if part.kind == kind]

"""The picture that a HEIF file (HEIC, AVIF) is for: its size, its color, and whether it has an alpha plane.

Sources: ISO/IEC 23008-12 (HEIF), 14496-12, 8.11 (items) and 12.1.5 (color).
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from encoder.media.info import ColorTags
from encoder.media.mp4_boxes import Box, first_box, iter_boxes

SIZE = struct.Struct(">II")
TAGS = struct.Struct(">HHHB")
VERSION_BYTES = 4
MAX_META_BYTES = 16 * 1024 * 1024
PROFILES = (b"prof", b"rICC")
FULL_RANGE = 0x80
# Of the kinds of planes beside a picture, that of alpha, by MPEG's own name and that of HEVC.
ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")


@dataclass(frozen=True)
class HeifPicture:
    """Width and height before it is turned, by so many quarters against the clock; its ICC profile, b"" for none; its
    tags, None where there are none."""

    width: int
    height: int
    profile: bytes
    tags: ColorTags | None
    has_alpha: bool
    turns: int = 0


def describe(path: Path) -> HeifPicture:
    """Return the picture of a file; of tiles and thumbnails beside it, none is larger. Raises ValueError for a file
    that describes none."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _describe(data)
        except (struct.error, IndexError) as error:
            raise ValueError("a box is cut off") from error


def _describe(data: mmap.mmap) -> HeifPicture:
    meta = first_box(data, b"meta")
    boxes = list(iter_boxes(data, meta.start + VERSION_BYTES, min(meta.end, meta.start + MAX_META_BYTES)))
    inside = [part for box in boxes if box.kind == b"iprp" for part in iter_boxes(data, box.start, box.end)]
    known = [part for box in inside if box.kind == b"ipco" for part in iter_boxes(data, box.start, box.end)]
    sizes = [SIZE.unpack_from(data, box.start + VERSION_BYTES) for box in known if box.kind == b"ispe"]
    if not sizes:
        raise ValueError("no size of a picture")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    own = set(_associated(data, inside, _primary(data, boxes)))
    colors = [box for number, box in enumerate(known, 1) if box.kind == b"colr" and (number in own or not own)]
    kinds = {data[box.start : box.start + 4]: box for box in reversed(colors)}
    profile = next((data[kinds[kind].start + 4 : kinds[kind].end] for kind in PROFILES if kind in kinds), b"")
    return HeifPicture(
        width=width,
        height=height,
        profile=profile,
        tags=_tags(data, kinds[b"nclx"]) if b"nclx" in kinds else None,
        has_alpha=any(
            data[box.start + VERSION_BYTES : box.end].startswith(ALPHA) for box in known if box.kind == b"auxC"
        ),
        turns=next(
            (data[box.start] & 3 for number, box in enumerate(known, 1) if box.kind == b"irot" and number in own), 0
        ),
    )


def _tags(data: mmap.mmap, box: Box) -> ColorTags:
    primaries, transfer, matrix, flags = TAGS.unpack_from(data, box.start + 4)
    return ColorTags(primaries, transfer, matrix, bool(flags & FULL_RANGE))


def _primary(data: mmap.mmap, boxes: list[Box]) -> int:
    """Return the number of the item that the file is for; -1 where it does not say."""
    for box in boxes:
        if box.kind == b"pitm":
            form = ">I" if data[box.start] else ">H"
            return int(struct.unpack_from(form, data, box.start + VERSION_BYTES)[0])
    return -1


def _associated(data: mmap.mmap, boxes: list[Box], item: int) -> Iterator[int]:
    """Yield the numbers of an item's properties, counted from 1."""
    for box in boxes:
        if box.kind != b"ipma":
            continue
        wide_items, wide_numbers = data[box.start] > 0, bool(data[box.start + 3] & 1)
        (entries,) = struct.unpack_from(">I", data, box.start + VERSION_BYTES)
        place = box.start + VERSION_BYTES + 4
        for _ in range(entries):
            if place >= box.end:
                return
            (number,) = struct.unpack_from(">I" if wide_items else ">H", data, place)
            place += 4 if wide_items else 2
            count = data[place]
            size = 2 if wide_numbers else 1
            if number == item:
                form, essential = (f">{count}H", 0x8000) if wide_numbers else (f">{count}B", 0x80)
                yield from (value & ~essential for value in struct.unpack_from(form, data, place + 1))
            place += 1 + count * size

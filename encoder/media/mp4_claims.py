"""What the index of an MP4 file claims: a few bytes can stand for millions of samples, for each of which FFmpeg's
libraries take memory before they look for one.

Source: ISO/IEC 14496-12, 8.6.1 (times), 8.7.3 (sizes), 8.8.8 (fragments).
"""

import contextlib
import mmap
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from encoder.media.mp4_boxes import MAX_BOXES, Box, iter_boxes

FAMILY = (b"ftyp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx")
HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
# Where in a box the number of its samples stands; of times, where their entries begin, each with a number of samples.
COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}
TIMES, ENTRIES_START = (b"stts", b"ctts"), 8
# Old audio codecs of QuickTime pack the most samples into a byte, about ten; sizes and times both count them.
SAMPLES_PER_BYTE = 32
SPARE_SAMPLES = 100_000


class TooManySamples(ValueError):
    """A file claims more samples than it can hold."""


def check_claims(path: Path) -> None:
    """Raise TooManySamples for a file of the MP4 family that claims more samples than its bytes can hold. Of any other
    file, and of what is damaged, nothing is said."""
    size = path.stat().st_size
    most = SAMPLES_PER_BYTE * size + SPARE_SAMPLES
    with path.open("rb") as file:
        if file.read(8)[4:] not in FAMILY:
            return
        claimed = 0
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            contextlib.suppress(ValueError, struct.error),
        ):
            for box in islice(_walk(data, 0, size), MAX_BOXES):
                claimed += _samples(data, box)
                if claimed > most:
                    break
    if claimed > most:
        raise TooManySamples(f"{claimed} samples in {size} bytes")


def _walk(data: mmap.mmap, start: int, end: int, depth: int = 0) -> Iterator[Box]:
    for box in iter_boxes(data, start, end):
        yield box
        if box.kind in HOLDERS and depth < len(HOLDERS):
            yield from _walk(data, box.start, box.end, depth + 1)


def _samples(data: mmap.mmap, box: Box) -> int:
    if box.kind in COUNTS:
        place = box.start + COUNTS[box.kind]
        return int(struct.unpack_from(">I", data, place)[0]) if place + 4 <= box.end else 0
    if box.kind in TIMES:
        entries = (box.end - box.start - ENTRIES_START) // 8
        if entries > 0:
            return int(np.frombuffer(data, ">u4", 2 * entries, box.start + ENTRIES_START)[::2].sum(dtype=np.int64))
    return 0

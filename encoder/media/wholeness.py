"""Whether a file is whole: what its head promises, held against what is there.

A download that broke off, a recorder that crashed and a full disk leave files that end too early. Their heads tell in
most formats: by a size, or by a length that the packets do not reach. Streams (MPEG-TS, MPEG-PS, Ogg, ADTS) promise
nothing, and may end anywhere.

Sources: ISO/IEC 14496-12, 4.2 (boxes); RFC 8794, 6 (EBML sizes); RFC 9559, 5.1 (Matroska); Microsoft, "Multimedia
Programming Interface and Data Specifications 1.0" (RIFF); Adobe, "FLV and F4V File Format Specification" 10.1, E.3;
Microsoft, "Advanced Systems Format", 3.2.
"""

import mmap
import os
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from encoder.media.mp4_boxes import MAX_BOXES, iter_boxes

HEAD_BYTES = 4096
# How stills begin, what stands at their end (cameras append more), and what stands before all that is shown.
STILL_ENDS = {b"\xff\xd8": (b"\xff\xd9", b"\xff\xda"), b"\x89PNG": (b"IEND", b"IDAT")}
TAIL_BYTES = 1024 * 1024
# Sizes that programs write which cannot go back to the head, and mean none.
UNKNOWN_RIFF_BYTES = 0x7FFFF000
# By which programs get it wrong that count the head twice.
SPARE_RIFF_BYTES = 64
FLV_TAG_BYTES = 11
KINDS = (b"ftyp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid", b"styp", b"sidx", b"meta", b"mfra")
ASF_PROPERTIES, ASF_HEAD_BYTES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"), 65536
EBML_HEAD, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"

# Seconds, and a share of the length, by which the packets of a whole file may fall short of what its head says.
SPARE_SECONDS, SPARE_SHARE = 0.25, 0.01
# The heads of these give a length that was counted, not guessed from a bit rate.
PROMISING = ("mov", "matroska", "avi", "flv", "asf", "wav", "w64", "flac", "aiff", "caf")


def is_cut_off(path: Path, demuxer: str) -> bool:
    """Return True for a file that is smaller than its head says."""
    check = CHECKS.get(demuxer)
    size = path.stat().st_size
    if check is None or not size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return check(data)


def falls_short(path: Path, demuxer: str, promised_seconds: float, seconds: float) -> bool:
    """Return True where the packets of a file end well before the length that its head promises."""
    if demuxer not in PROMISING and not (demuxer == "mp3" and _counts_frames(path)):
        return False
    return seconds < promised_seconds - SPARE_SECONDS - SPARE_SHARE * promised_seconds


def tells_end(demuxer: str) -> bool:
    """Return True for a format in which something tells where a file should end."""
    return demuxer in CHECKS or demuxer in PROMISING


def is_still_cut_off(path: Path) -> bool:
    """Return True for a still that lacks its end."""
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - TAIL_BYTES, 0))
        tail = file.read()
    for start, (end, before) in STILL_ENDS.items():
        if head.startswith(start):
            return tail.rfind(end) <= tail.rfind(before)
    if head[4:8] == b"ftyp" or head[:4] == b"RIFF":
        return is_cut_off(path, "mov" if head[4:8] == b"ftyp" else "wav")
    return False


def lacks_index(path: Path) -> bool:
    """Return True for a file of the MP4 family without its index, of which nothing can be read."""
    with path.open("rb") as file:
        if file.read(8)[4:] not in (b"ftyp", b"mdat", b"wide", b"free", b"skip"):
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return not {b"moov", b"moof"} & {kind for kind, _ in _top_boxes(data)}


def _boxes_end(data: mmap.mmap) -> bool:
    return any(not is_whole for _, is_whole in _top_boxes(data))


def _top_boxes(data: mmap.mmap) -> list[tuple[bytes, bool]]:
    """Return the kind of each box of a file, and whether it is all there."""
    found: list[tuple[bytes, bool]] = []
    place = 0
    try:
        for box in islice(iter_boxes(data, 0, len(data)), MAX_BOXES):
            found.append((box.kind, True))
            place = box.end
    except ValueError:
        # What stands behind the last box need not be one: cameras and taggers append what they like.
        kind = data[place + 4 : place + 8]
        if kind in KINDS:
            found.append((kind, False))
    return found


def _segment_ends(data: mmap.mmap) -> bool:
    if data[:4] != EBML_HEAD:
        return False
    head, length = _ebml_size(data, 4)
    place = 4 + length + (head or 0)
    if data[place : place + 4] != SEGMENT:
        return False
    size, length = _ebml_size(data, place + 4)
    return size is not None and place + 4 + length + size > len(data)


def _ebml_size(data: mmap.mmap, place: int) -> tuple[int | None, int]:
    """Return a size, None where it is not known, and how many bytes it takes itself."""
    first = data[place] if place < len(data) else 0
    length = 9 - first.bit_length() if first else 1
    value = int.from_bytes(data[place : place + length], "big") & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), length


def _riff_ends(data: mmap.mmap) -> bool:
    order = {b"RIFF": "little", b"FORM": "big"}.get(data[:4])
    if order is None:
        return False
    size = int.from_bytes(data[4:8], "big" if order == "big" else "little")
    return size < UNKNOWN_RIFF_BYTES and size > len(data) + SPARE_RIFF_BYTES


def _tags_end(data: mmap.mmap) -> bool:
    """Return True where the end of an FLV file is not that of a tag, whose length stands behind it."""
    length = int.from_bytes(data[-4:], "big")
    place = len(data) - 4 - length
    if length < FLV_TAG_BYTES or place < 0:
        return True
    return int.from_bytes(data[place + 1 : place + 4], "big") + FLV_TAG_BYTES != length


def _properties_end(data: mmap.mmap) -> bool:
    """Return True where an ASF file is smaller than its head says; that of a broadcast says nothing."""
    place = data.find(ASF_PROPERTIES, 0, ASF_HEAD_BYTES)
    if place < 0 or len(data) < place + 92 or data[place + 88] & 1:
        return False
    return int.from_bytes(data[place + 40 : place + 48], "little") > len(data)


def _counts_frames(path: Path) -> bool:
    """Return True for MP3 whose first frame tells how many there are."""
    with path.open("rb") as file:
        head = file.read(10)
        tags = sum((byte & 0x7F) << 7 * (3 - n) for n, byte in enumerate(head[6:10])) if head[:3] == b"ID3" else -10
        file.seek(10 + tags)
        frame = file.read(HEAD_BYTES)
    return any(word in frame[:64] for word in (b"Xing", b"Info", b"VBRI"))


CHECKS: Mapping[str, Callable[[mmap.mmap], bool]] = {
    "mov": _boxes_end,
    "matroska": _segment_ends,
    "avi": _riff_ends,
    "wav": _riff_ends,
    "aiff": _riff_ends,
    "flv": _tags_end,
    "asf": _properties_end,
}
"""By the demuxer: whether a file ends before its head says."""

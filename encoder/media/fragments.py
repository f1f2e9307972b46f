"""How a fragmented MP4 plays piece by piece: a header, and segments, of which each begins with a picture that needs no
other. Source: ISO/IEC 14496-12, 8.8; RFC 8216, 3.3."""

import hashlib
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

from apigpu.encoder.v1.encoder_pb2 import Playback
from encoder.media.mp4_boxes import MAX_BOXES, TIME_SCALE, Box, iter_boxes, only_box, read_number

# A segment is no longer, unless two pictures that need no other are further apart. Those of sound are shorter: players
# are told of sound as far as there are pictures to it.
SEGMENT_SECONDS, SOUND_SECONDS = 6, 2
# Of a file that lasts very long segments are longer.
MAX_SEGMENTS = 5000
# What every file that plays is written with: fragments from key picture to key picture, by the clock of the film.
# B-frames are told by offsets back from there, so that no edit list is needed, which players heed or not.
PIECE: Mapping[str, str] = {
    "f": "mp4",
    "movflags": "+empty_moov+default_base_moof+frag_keyframe+frag_discont+negative_cts_offsets",
    "use_editlist": "0",
}
# Sound of which every packet is a key: fragments of a length. The edit list tells of the samples before the first one.
SOUND: Mapping[str, str] = {
    "f": "mp4",
    "movflags": "+empty_moov+delay_moov+default_base_moof",
    "frag_duration": str(SOUND_SECONDS * 1_000_000),
}
# Bytes of a box before those within it.
LEADS = {b"stsd": 8, b"avc1": 78}
CODEC_PATH = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
AAC = "mp4a.40.2"
DURATION_GIVEN, SIZE_GIVEN, FLAGS_GIVEN, OFFSET_GIVEN = 0x100, 0x200, 0x400, 0x800
DATA_OFFSET_GIVEN, FIRST_FLAGS_GIVEN = 0x1, 0x4
# Fields of a track fragment's header that may be there before the usual duration, each with its bytes.
BEFORE_DURATION = ((0x1, 8), (0x2, 4))
USUAL_DURATION_GIVEN = 0x8


@dataclass(frozen=True)
class Fragment:
    """Where a fragment lies in the file, and when it begins and how long it lasts, by the clock of its track."""

    start: int
    end: int
    begin: int
    length: int


def playback(path: Path) -> Playback:
    """Return how a fragmented MP4 of one track plays. Raises ValueError where it is none."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        boxes = list(islice(iter_boxes(data, 0, len(data)), MAX_BOXES))
        movie = only_box(boxes, b"moov")
        scale = read_number(data, _within(data, movie, (b"trak", b"mdia", b"mdhd")), TIME_SCALE)
        fragments = list(_fragments(data, boxes))
        if not fragments or not scale:
            raise ValueError("no fragment")
        header = data[: fragments[0].start]
        codec, width, height = _codec(data, movie)
        told = Playback(
            header_bytes=len(header),
            header_id=int.from_bytes(hashlib.sha256(header).digest()[:8]),
            codec=codec,
            width=width,
            height=height,
        )
        usual = (SOUND_SECONDS if codec == AAC else SEGMENT_SECONDS) * scale
        _tell_segments(told, fragments, scale, max(usual, (fragments[-1].begin - fragments[0].begin) // MAX_SEGMENTS))
        return told


def _tell_segments(told: Playback, fragments: list[Fragment], scale: int, longest: int) -> None:
    """Put fragments together to segments, each as long as it may be; their milliseconds add up without an error."""
    first = origin = fragments[0]
    for fragment, following in zip(fragments, [*fragments[1:], None], strict=True):
        end = fragment.begin + fragment.length if following is None else following.begin
        after = None if following is None else following.begin + following.length
        if after is not None and after - first.begin <= longest:
            continue
        told.segment_bytes.append(fragment.end - first.start)
        begins, ends = (round(Fraction(1000 * (time - origin.begin), scale)) for time in (first.begin, end))
        told.segment_milliseconds.append(ends - begins)
        first = following or first


def _fragments(data: mmap.mmap, boxes: list[Box]) -> Iterator[Fragment]:
    """Yield the fragments: each a moof with the mdat after it. Raises ValueError for one without."""
    for head, body in pairwise(boxes):
        if head.kind != b"moof":
            continue
        if body.kind != b"mdat":
            raise ValueError("a fragment has no samples")
        parts = list(iter_boxes(data, *_span(_within(data, head, (b"traf",)))))
        begin = _decode_time(data, only_box(parts, b"tfdt"))
        usual = _usual_duration(data, only_box(parts, b"tfhd"))
        length = sum(_run_length(data, part, usual) for part in parts if part.kind == b"trun")
        yield Fragment(head.start - 8, body.end, begin, length)


def _span(box: Box) -> tuple[int, int]:
    return box.start + LEADS.get(box.kind, 0), box.end


def _within(data: mmap.mmap, box: Box, path: tuple[bytes, ...]) -> Box:
    """Return a box by its path within another. Raises ValueError."""
    for kind in path:
        box = only_box(list(iter_boxes(data, *_span(box))), kind)
    return box


def _decode_time(data: mmap.mmap, box: Box) -> int:
    return read_number(data, box, {0: (4, ">I"), 1: (4, ">Q")})


def _flags(data: mmap.mmap, box: Box) -> int:
    return int.from_bytes(data[box.start + 1 : box.start + 4])


def _usual_duration(data: mmap.mmap, box: Box) -> int:
    flags, place = _flags(data, box), box.start + 8
    if not flags & USUAL_DURATION_GIVEN:
        return 0
    place += sum(size for flag, size in BEFORE_DURATION if flags & flag)
    return int(struct.unpack_from(">I", data, place)[0])


def _run_length(data: mmap.mmap, box: Box, usual: int) -> int:
    """Return how long the samples of a run last."""
    flags, count = _flags(data, box), struct.unpack_from(">I", data, box.start + 4)[0]
    if not flags & DURATION_GIVEN:
        return int(count * usual)
    place = box.start + 8 + sum(4 for flag in (DATA_OFFSET_GIVEN, FIRST_FLAGS_GIVEN) if flags & flag)
    step = 4 * sum(bool(flags & flag) for flag in (DURATION_GIVEN, SIZE_GIVEN, FLAGS_GIVEN, OFFSET_GIVEN))
    return sum(struct.unpack_from(">I", data, place + step * number)[0] for number in range(count))


def _codec(data: mmap.mmap, movie: Box) -> tuple[str, int, int]:
    """Return the codec of the track as RFC 6381 has it, "" where that takes more to tell, and its size in pixels."""
    entry = next(iter_boxes(data, *_span(_within(data, movie, CODEC_PATH))))
    if entry.kind == b"mp4a":
        return AAC, 0, 0
    width, height = struct.unpack_from(">HH", data, entry.start + 24)
    if entry.kind != b"avc1":
        return "", width, height
    settings = only_box(list(iter_boxes(data, *_span(entry))), b"avcC")
    return f"avc1.{data[settings.start + 1 : settings.start + 4].hex()}", width, height

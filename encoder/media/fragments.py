"""How a fragmented MP4 plays piece by piece: a header, and segments, of which each begins with a picture that needs no
other. Source: ISO/IEC 14496-12, 8.8; RFC 8216, 3.3."""

import hashlib
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

from apigpu.encoder.v1.encoder_pb2 import Playback
from encoder.media.mp4_boxes import MAX_BOXES, SIZE_AND_KIND, TIME_SCALE, Box, iter_boxes, mapped, only_box, read_number

# A segment is no longer, unless two pictures that need no other are further apart. Those of sound are shorter: players
# are told of sound as far as there are pictures to it. The first one is to be no longer than the first piece of a film
# that is watched.
SEGMENT_SECONDS, SOUND_SECONDS = 6, 1.9
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
    "frag_duration": str(round(SOUND_SECONDS * 1_000_000)),
}
# Bytes of a box before those within it.
LEADS = {b"stsd": 8, b"avc1": 78}
CODEC_PATH = (b"mdia", b"minf", b"stbl", b"stsd")
AAC = "mp4a.40.2"
DURATION_GIVEN, SIZE_GIVEN, FLAGS_GIVEN, OFFSET_GIVEN = 0x100, 0x200, 0x400, 0x800
DATA_OFFSET_GIVEN, FIRST_FLAGS_GIVEN = 0x1, 0x4
# Fields of a track fragment's header that may be there before the usual duration, each with its bytes.
BEFORE_DURATION = ((0x1, 8), (0x2, 4))
USUAL_DURATION_GIVEN = 0x8


@dataclass(frozen=True)
class PlayedTrack:
    """A track: its number, the ticks of its clock in a second, its codec as RFC 6381 has it ("" where that takes more
    to tell), and its size in pixels, 0 of sound."""

    number: int
    scale: int
    codec: str
    width: int
    height: int


@dataclass(frozen=True)
class Fragment:
    """Where a fragment lies in the file, and when it begins and how long it lasts, by the clock of its track."""

    start: int
    end: int
    begin: int
    length: int


def playback(path: Path) -> Playback:
    """Return how a fragmented MP4 plays: a picture, with its sound or without, or a sound alone. Raises ValueError
    where it is none."""
    with mapped(path) as data:
        try:
            return _playback(data)
        except (struct.error, LookupError, StopIteration) as error:
            raise ValueError("a box is too short, or lacks one within it") from error


def _playback(data: mmap.mmap) -> Playback:
    boxes = list(islice(iter_boxes(data, 0, len(data)), MAX_BOXES))
    movie = only_box(boxes, b"moov")
    tracks = [_track(data, box) for box in iter_boxes(data, movie.start, movie.end) if box.kind == b"trak"]
    main = next((track for track in tracks if track.width), tracks[0])
    fragments = list(_fragments(data, boxes, main))
    if not fragments or not main.scale:
        raise ValueError("no fragment")
    # What sound there is before the first picture is played with it.
    fragments[0] = replace(fragments[0], start=_first_fragment(boxes))
    header = data[: fragments[0].start]
    told = Playback(
        header_bytes=len(header),
        header_id=int.from_bytes(hashlib.sha256(header).digest()[:8]),
        codec=",".join(track.codec for track in tracks) if all(track.codec for track in tracks) else "",
        width=main.width,
        height=main.height,
    )
    usual = (SEGMENT_SECONDS if main.width else SOUND_SECONDS) * main.scale
    longest = max(round(usual), (fragments[-1].begin - fragments[0].begin) // MAX_SEGMENTS)
    _tell_segments(told, fragments, main.scale, longest)
    return told


def without_last(told: Playback) -> Playback:
    """Return how a file plays whose last segment is cut off. Raises ValueError where it has no other."""
    if len(told.segment_bytes) < 2:
        raise ValueError("there is no whole segment")
    del told.segment_bytes[-1], told.segment_milliseconds[-1]
    return told


def _first_fragment(boxes: list[Box]) -> int:
    """Return where the first fragment of any track begins."""
    return next(box.start - SIZE_AND_KIND.size for box in boxes if box.kind == b"moof")


def _track(data: mmap.mmap, box: Box) -> PlayedTrack:
    number = read_number(data, _within(data, box, (b"tkhd",)), TIME_SCALE)  # it lies where other boxes have that
    scale = read_number(data, _within(data, box, (b"mdia", b"mdhd")), TIME_SCALE)
    return PlayedTrack(number, scale, *_codec(data, box))


def _tell_segments(told: Playback, fragments: list[Fragment], scale: int, longest: int) -> None:
    """Put fragments together to segments, each as long as it may be; their milliseconds add up without an error."""
    first = origin = fragments[0]
    for fragment, following in zip(fragments, [*fragments[1:], None], strict=True):
        end = fragment.begin + fragment.length if following is None else following.begin
        after = None if following is None else following.begin + following.length
        if after is not None and after - first.begin <= longest:
            continue
        told.segment_bytes.append((fragment.end if following is None else following.start) - first.start)
        begins, ends = (round(Fraction(1000 * (time - origin.begin), scale)) for time in (first.begin, end))
        told.segment_milliseconds.append(ends - begins)
        first = following or first


def _fragments(data: mmap.mmap, boxes: list[Box], track: PlayedTrack) -> Iterator[Fragment]:
    """Yield the fragments of a track: each a moof with the mdat after it. Those that are of other tracks alone count to
    the one before; `playback` counts those before the first one to that. Raises ValueError for one without samples."""
    found: Fragment | None = None
    for head, body in pairwise(boxes):
        if head.kind != b"moof":
            continue
        if body.kind != b"mdat":
            raise ValueError("a fragment has no samples")
        parts = _parts_of(data, head, track)
        if parts is None:
            found = replace(found, end=body.end) if found else None
            continue
        if found is not None:
            yield found
        begin = read_number(data, only_box(parts, b"tfdt"), {0: (4, ">I"), 1: (4, ">Q")})
        usual = _usual_duration(data, only_box(parts, b"tfhd"))
        length = sum(_run_length(data, part, usual) for part in parts if part.kind == b"trun")
        found = Fragment(head.start - SIZE_AND_KIND.size, body.end, begin, length)
    if found is not None:
        yield found


def _parts_of(data: mmap.mmap, head: Box, track: PlayedTrack) -> list[Box] | None:
    """Return the boxes of a track in a moof; None where that has none of it."""
    for box in iter_boxes(data, head.start, head.end):
        parts = list(iter_boxes(data, box.start, box.end)) if box.kind == b"traf" else []
        if parts and struct.unpack_from(">I", data, only_box(parts, b"tfhd").start + 4)[0] == track.number:
            return parts
    return None


def _span(box: Box) -> tuple[int, int]:
    return box.start + LEADS.get(box.kind, 0), box.end


def _within(data: mmap.mmap, box: Box, path: tuple[bytes, ...]) -> Box:
    """Return a box by its path within another. Raises ValueError."""
    for kind in path:
        box = only_box(list(iter_boxes(data, *_span(box))), kind)
    return box


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


def _codec(data: mmap.mmap, track: Box) -> tuple[str, int, int]:
    """Return codec, width and height of a track: see PlayedTrack."""
    handler = _within(data, track, (b"mdia", b"hdlr"))
    kind = data[handler.start + 8 : handler.start + 12]
    entry = next(iter_boxes(data, *_span(_within(data, track, CODEC_PATH))))
    if kind != b"vide":
        return AAC if entry.kind == b"mp4a" else "", 0, 0
    width, height = struct.unpack_from(">HH", data, entry.start + 24)
    if entry.kind != b"avc1":
        return "", width, height
    settings = only_box(list(iter_boxes(data, *_span(entry))), b"avcC")
    return f"avc1.{data[settings.start + 1 : settings.start + 4].hex()}", width, height

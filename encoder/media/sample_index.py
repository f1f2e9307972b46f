"""The index of a fragmented MP4: all of it but its samples. It stands at the end of the file once more, so that whoever
puts it together with others needs no more of it; and of it a skeleton is made, the same film with samples of a byte.
Source: ISO/IEC 14496-12, 8.8."""

import mmap
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from encoder.media.mp4_boxes import MAX_BOXES, SIZE_AND_KIND, TIME_SCALE, Box, iter_boxes, mapped, only_box, read_number
from encoder.media.sample_tables import SampleTimes, Sizes

# The box at the end, which players pass over: what it holds, compressed, and at its very end this and its own size.
KIND, MARK = b"free", b"apgpuidx"
FOOTER = struct.Struct(">8sI")
ENTRY = struct.Struct(">QI")
KEPT = (b"ftyp", b"moov", b"moof")
MAX_INDEX_BYTES = 64 * 1024 * 1024
# Two days of 120 pictures a second.
MAX_SAMPLES = 20_000_000
BASE_GIVEN, DESCRIPTION_GIVEN, BASE_IS_MOOF = 0x1, 0x2, 0x20000
USUAL_DURATION, USUAL_SIZE, USUAL_FLAGS = 0x8, 0x10, 0x20
OFFSET_GIVEN, FIRST_FLAGS_GIVEN, DURATION_GIVEN, SIZE_GIVEN, FLAGS_GIVEN, SHIFT_GIVEN = (
    0x1,
    0x4,
    0x100,
    0x200,
    0x400,
    0x800,
)
# What samples tell of themselves one by one, in this order.
FIELDS = (DURATION_GIVEN, SIZE_GIVEN, FLAGS_GIVEN, SHIFT_GIVEN)
# Of the flags of a sample: by any of these it needs others, as FFmpeg reads them.
NEEDS_OTHERS = 0x1010000
# Ticks of no film.
MAX_TICKS = 1 << 60
DECODE_TIME = {0: (4, ">I"), 1: (4, ">Q")}


class StoredBox(NamedTuple):
    """A box with its head, and where it stands in its file."""

    kind: bytes
    place: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SampleRun:
    """Samples of a track that lie one after the other: the track's place in the file, where the first one begins, the
    bytes of each, and their times, None where these are not told."""

    track: int
    start: int
    sizes: Sizes
    times: SampleTimes | None = None

    @property
    def end(self) -> int:
        """Where the last one ends."""
        return self.start + int(self.sizes.sum())


@dataclass(frozen=True, slots=True)
class SampleFragment:
    """The samples of a fragment, and when the first of them is decoded, in seconds by the clock of the film."""

    begin: Fraction
    runs: tuple[SampleRun, ...]

    @property
    def span(self) -> tuple[int, int]:
        """Where in the file its samples begin and end."""
        return min(run.start for run in self.runs), max(run.end for run in self.runs)


def append_index(path: Path) -> int:
    """Write the index of a fragmented MP4 behind it; return its bytes. Raises ValueError for what is none."""
    with mapped(path) as data:
        boxes = list(_stored_boxes(data))
    if [box.kind for box in boxes[:2]] != [b"ftyp", b"moov"] or len(boxes) < 3:
        raise ValueError("no fragments behind a header")
    told = [struct.pack(">I", len(boxes)), *(ENTRY.pack(box.place, len(box.data)) for box in boxes)]
    packed = zlib.compress(b"".join((*told, *(box.data for box in boxes))))
    size = SIZE_AND_KIND.size + len(packed) + FOOTER.size
    with path.open("ab") as file:
        file.write(SIZE_AND_KIND.pack(size, KIND) + packed + FOOTER.pack(MARK, size))
    return size


def _stored_boxes(data: mmap.mmap) -> Iterator[StoredBox]:
    place = 0
    for box in islice(iter_boxes(data, 0, len(data)), MAX_BOXES):
        if box.kind in KEPT:
            yield StoredBox(box.kind, place, data[place : box.end])
        place = box.end


def read_index(path: Path) -> "SampleIndex":
    """Return the index at the end of a file, of which no more need be there. Raises ValueError where there is none."""
    with mapped(path) as data:
        mark, size = FOOTER.unpack(data[-FOOTER.size :]) if len(data) > FOOTER.size else (b"", 0)
        if mark != MARK or not FOOTER.size + SIZE_AND_KIND.size <= size <= len(data):
            raise ValueError("no index at its end")
        packed = data[len(data) - size + SIZE_AND_KIND.size : -FOOTER.size]
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(packed, MAX_INDEX_BYTES)
        if not unpacking.eof:
            raise ValueError("its index is damaged, or too long")
        return SampleIndex.of(_unpacked(content), path.stat().st_size - size)
    except (struct.error, zlib.error, LookupError) as error:
        raise ValueError("its index is damaged") from error


def _unpacked(content: bytes) -> Iterator[StoredBox]:
    (count,) = struct.unpack_from(">I", content)
    offset = 4 + count * ENTRY.size
    for number in range(count):
        place, size = ENTRY.unpack_from(content, 4 + number * ENTRY.size)
        data = content[offset : offset + size]
        yield StoredBox(SIZE_AND_KIND.unpack_from(data)[1], place, data)
        offset += size


class _Track(NamedTuple):
    """A track: its place in the file, the ticks of its clock in a second, and whether each sample of it needs no other
    because it is sound."""

    place: int
    scale: int
    is_sound: bool


class _Usual(NamedTuple):
    """What holds for the samples of a fragment that do not tell it: their size, how long each is, and flags; None where
    it is not given."""

    size: int | None
    length: int | None
    flags: int | None


@dataclass(frozen=True)
class SampleIndex:
    """What a fragmented MP4 has but for its samples: its header, and its fragments, each with its skeleton."""

    header: bytes
    fragments: tuple[SampleFragment, ...]
    skeletons: tuple[bytes, ...]

    @classmethod
    def of(cls, boxes: Iterator[StoredBox], size_bytes: int) -> "SampleIndex":
        """Read the boxes of a file of so many bytes. Raises ValueError for what is not written so by our muxing."""
        header, fragments, skeletons, tracks, samples = b"", [], [], dict[int, _Track](), 0
        for box in boxes:
            if box.kind != b"moof":
                header += box.data
                tracks |= _tracks(box.data) if box.kind == b"moov" else {}
                continue
            fragment, skeleton = _Moof(box, tracks).read(MAX_SAMPLES - samples)
            samples += sum(len(run.sizes) for run in fragment.runs)
            if not fragment.runs or fragment.span[0] < 0 or fragment.span[1] > size_bytes:
                raise ValueError("its samples lie outside of it")
            fragments.append(fragment)
            skeletons.append(skeleton)
        return cls(header, tuple(fragments), tuple(skeletons))

    def write_skeleton(self, path: Path) -> None:
        """Write the same film with samples of a byte each: whatever tells of times, lengths and kinds is as it was."""
        with path.open("wb") as file:
            file.write(self.header)
            file.writelines(self.skeletons)


def _tracks(movie: bytes) -> Mapping[int, _Track]:
    """Return the tracks of a movie by their numbers."""
    (box,) = iter_boxes(movie, 0, len(movie))
    found: dict[int, _Track] = {}
    for part in iter_boxes(movie, box.start, box.end):
        if part.kind == b"trak":
            inner = list(iter_boxes(movie, part.start, part.end))
            number = read_number(movie, only_box(inner, b"tkhd"), TIME_SCALE)  # it lies where other boxes have that
            medium = only_box(inner, b"mdia")
            clock, handler = (
                only_box(list(iter_boxes(movie, medium.start, medium.end)), kind) for kind in (b"mdhd", b"hdlr")
            )
            is_sound = movie[handler.start + 8 : handler.start + 12] == b"soun"
            found[number] = _Track(len(found), max(read_number(movie, clock, TIME_SCALE), 1), is_sound)
    return found


class _Moof:
    """Reads the head of a fragment, and makes that of its skeleton as it goes."""

    def __init__(self, box: StoredBox, tracks: Mapping[int, _Track]) -> None:
        self._place = box.place
        self._data = bytearray(box.data)
        self._tracks = tracks
        self._runs: list[SampleRun] = []
        self._begin: Fraction | None = None
        self._count = 0

    def read(self, most_samples: int) -> tuple[SampleFragment, bytes]:
        """Return the fragment and its skeleton. Raises ValueError, also for more samples than that."""
        (whole,) = iter_boxes(self._data, 0, len(self._data))
        for box in iter_boxes(self._data, whole.start, whole.end):
            if box.kind == b"traf":
                self._read_track(list(iter_boxes(self._data, box.start, box.end)), most_samples)
        body = SIZE_AND_KIND.pack(SIZE_AND_KIND.size + self._count, b"mdat") + bytes(self._count)
        return SampleFragment(self._begin or Fraction(0), tuple(self._runs)), bytes(self._data) + body

    def _read_track(self, parts: Sequence[Box], most_samples: int) -> None:
        head = only_box(parts, b"tfhd")
        flags, (number,) = self._flags(head), struct.unpack_from(">I", self._data, head.start + 4)
        if flags & BASE_GIVEN or not flags & BASE_IS_MOOF or number not in self._tracks:
            raise ValueError("a fragment does not tell where its samples are")
        track = self._tracks[number]
        first = read_number(self._data, only_box(parts, b"tfdt"), DECODE_TIME)
        begin = Fraction(first, track.scale)
        self._begin = begin if self._begin is None else min(begin, self._begin)
        usual = self._usual(head, flags)
        end, ticks = self._place, first if first <= MAX_TICKS else None
        for part in parts:
            if part.kind == b"trun":
                run = self._read_run(part, track, (end, ticks), usual, most_samples)
                end, ticks = run.end, run.times.end if run.times else None
                self._runs += [run] if len(run.sizes) else []

    def _usual(self, head: Box, flags: int) -> _Usual:
        """Return what the samples of a track have, of which the size is a byte from now on."""
        found: dict[int, int] = {}
        place = head.start + 8
        for flag in (DESCRIPTION_GIVEN, USUAL_DURATION, USUAL_SIZE, USUAL_FLAGS):
            if flags & flag:
                (found[flag],) = struct.unpack_from(">I", self._data, place)
                if flag == USUAL_SIZE:
                    struct.pack_into(">I", self._data, place, 1)
                place += 4
        return _Usual(*map(found.get, (USUAL_SIZE, USUAL_DURATION, USUAL_FLAGS)))

    def _read_run(
        self, box: Box, track: _Track, follows: tuple[int, int | None], usual: _Usual, most_samples: int
    ) -> SampleRun:
        """Return a run of samples, which follows the end of the one before it, in the file where it does not say where
        it begins, and by the clock."""
        flags, (count,) = self._flags(box), struct.unpack_from(">I", self._data, box.start + 4)
        if self._count + count > most_samples:
            raise ValueError("it has more samples than one can have")
        place, start, first_flags = box.start + 8, follows[0], None
        if flags & OFFSET_GIVEN:
            start = self._place + struct.unpack_from(">i", self._data, place)[0]
            struct.pack_into(">i", self._data, place, len(self._data) + SIZE_AND_KIND.size + self._count)
            place += 4
        if flags & FIRST_FLAGS_GIVEN:
            (first_flags,) = struct.unpack_from(">I", self._data, place)
            place += 4
        self._count += count
        told = [flag for flag in FIELDS if flags & flag]
        if place + 4 * count * len(told) > box.end:
            raise ValueError("a box is too short")
        table = np.frombuffer(self._data, ">u4", count * len(told), place).reshape(count, len(told))
        columns = {flag: table[:, number] for number, flag in enumerate(told)}
        times = _times(track, follows[1], columns, usual, first_flags, count)
        if SIZE_GIVEN not in columns:
            if usual.size is None:
                raise ValueError("a fragment does not tell how large its samples are")
            return SampleRun(track.place, start, np.full(count, usual.size, np.int64), times)
        sizes = columns[SIZE_GIVEN].astype(np.int64)
        columns[SIZE_GIVEN][:] = 1
        return SampleRun(track.place, start, sizes, times)

    def _flags(self, box: Box) -> int:
        return int.from_bytes(self._data[box.start + 1 : box.start + 4])


def _times(
    track: _Track,
    begin: int | None,
    columns: "Mapping[int, np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]]",
    usual: _Usual,
    first_flags: int | None,
    count: int,
) -> SampleTimes | None:
    """Return the times of samples the first of which begins then; None where they are not told."""
    if begin is None or not count:
        return None
    if DURATION_GIVEN not in columns and usual.length is None:
        return None
    lengths = columns[DURATION_GIVEN].astype(np.int64) if DURATION_GIVEN in columns else np.full(count, usual.length)
    keys = _all_keys(count)
    if not track.is_sound:
        if FLAGS_GIVEN not in columns and usual.flags is None:
            return None
        flags = columns[FLAGS_GIVEN].astype(np.int64) if FLAGS_GIVEN in columns else np.full(count, usual.flags)
        if first_flags is not None and FLAGS_GIVEN not in columns:
            flags[0] = first_flags
        needless = (flags & NEEDS_OTHERS) == 0
        keys = keys if needless.all() else needless
    # FFmpeg writes them with a sign where it has to, and reads them so.
    delays = (
        columns[SHIFT_GIVEN].astype(np.uint32).view(np.int32).astype(np.int64)
        if SHIFT_GIVEN in columns
        else _no_delays(count)
    )
    ends = begin + np.cumsum(lengths)
    return SampleTimes(ends - lengths, int(ends[-1]), delays, keys)


# A film of keyframes alone has a fragment for each picture, of which an array takes more than what it tells: those that
# are alike are one.
@lru_cache(maxsize=8)
def _all_keys(count: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    found = np.ones(count, np.bool_)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=8)
def _no_delays(count: int) -> Sizes:
    found = np.zeros(count, np.int64)
    found.flags.writeable = False
    return found

"""Films that are composed of files whose samples stay where they are: what is made of their skeletons by copying gets
tables that point at the samples, which follow it as ranges of the files. Source: ISO/IEC 14496-12, 8.7."""

import heapq
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from operator import itemgetter
from pathlib import Path

from encoder.media.mp4_boxes import (
    LARGE_SIZE,
    SIZE_AND_KIND,
    TIME_SCALE,
    Box,
    iter_boxes,
    mapped,
    only_box,
    read_number,
)
from encoder.media.sample_index import SampleFragment, SampleIndex
from encoder.media.sample_tables import SampleTable, whole_box, write_box

LARGE = 1 << 32
# Bytes of a box before those within it, of boxes that hold others.
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
ENTRY_LEADS = {b"vide": 78, b"soun": 28}
# Where an `esds` as FFmpeg writes it tells of its second descriptor, and of its bit rates.
DECODER_TAG, DECODER_TAG_PLACE, DECODER_RATES_PLACE = 4, 12, 22
# In a `btrt`, behind the size of a buffer.
RATES_PLACE = 4
RATES = struct.Struct(">II")


@dataclass
class FileRange:
    """A range of a file, by its number."""

    file: int
    start: int
    end: int


@dataclass(frozen=True)
class ComposedTracks:
    """Tracks of a film: their samples are those of files, one after the other, and of each file of these tracks, by
    their places."""

    files: Sequence[tuple[int, SampleIndex]]
    places: Sequence[int]


class Composition:
    """The order of the samples of a film: those of all its tracks side by side, by the clock of the film."""

    def __init__(self, parts: Sequence[ComposedTracks]) -> None:
        self.ranges: list[FileRange] = []
        self.size_bytes = 0
        self._tables = [[SampleTable() for _ in part.places] for part in parts]
        for _, number, file, fragment in heapq.merge(*map(_in_order, range(len(parts)), parts), key=itemgetter(0, 1)):
            self._add(parts[number], self._tables[number], file, fragment)

    def _add(self, part: ComposedTracks, tables: Sequence[SampleTable], file: int, fragment: SampleFragment) -> None:
        shift = self._place(file, *fragment.span)
        for place, table in zip(part.places, tables, strict=True):
            for run in fragment.runs:
                if run.track == place:
                    table.starts.append(run.start + shift)
                    table.runs.append(run.sizes)

    def _place(self, file: int, start: int, end: int) -> int:
        """Have a range of a file come next; return by how much its bytes are further on in the film."""
        last = self.ranges[-1] if self.ranges else None
        if last is not None and last.file == file and start >= last.end:
            self.size_bytes += end - last.end  # with the head of the fragment, which does no harm
            last.end = end
        else:
            self.size_bytes += end - start
            self.ranges.append(FileRange(file, start, end))
        return self.size_bytes - end

    def write_head(self, path: Path) -> None:
        """Have a film that was made of the skeletons become the head of the one that is composed, up to its samples.
        Raises ValueError where its tracks have not the samples of the files."""
        with mapped(path) as data:
            boxes = {box.kind: box for box in iter_boxes(data, 0, len(data))}
            kind, movie = (whole_box(data, boxes[name]) for name in (b"ftyp", b"moov"))
        body = (
            write_box(b"mdat", b"", self.size_bytes)
            if self.size_bytes + SIZE_AND_KIND.size < LARGE
            else SIZE_AND_KIND.pack(1, b"mdat")
            + LARGE_SIZE.pack(SIZE_AND_KIND.size + LARGE_SIZE.size + self.size_bytes)
        )
        # As long as it is with all places 0; that of those that are larger than a number may be is twice as long.
        roomy = len(kind) + 2 * len(movie) + 16 * self._count + self.size_bytes
        writer = _MovieWriter(movie, [table for tables in self._tables for table in tables], is_large=roomy >= LARGE)
        lead = len(kind) + len(writer.rebuilt(0)) + len(body)
        path.write_bytes(kind + writer.rebuilt(lead) + body)

    @property
    def _count(self) -> int:
        return sum(len(run) for tables in self._tables for table in tables for run in table.runs)


def _in_order(number: int, part: ComposedTracks) -> Iterator[tuple[Fraction, int, int, SampleFragment]]:
    """Yield the fragments of tracks, each by its time, the number of its part and that of its file; no time is before
    the one that it follows."""
    fragments = [(file, fragment) for file, index in part.files for fragment in index.fragments]
    times = accumulate((fragment.begin for _, fragment in fragments), max)
    for time, (file, fragment) in zip(times, fragments, strict=True):
        yield time, number, file, fragment


class _MovieWriter:
    """Writes the box of a movie anew, with other tables of samples."""

    def __init__(self, movie: bytes, tables: Sequence[SampleTable], *, is_large: bool) -> None:
        self._movie = bytearray(movie)
        self._tables = tables
        self._is_large = is_large
        (whole,) = iter_boxes(self._movie, 0, len(self._movie))
        self._tracks = [box for box in iter_boxes(self._movie, whole.start, whole.end) if box.kind == b"trak"]
        if len(self._tracks) != len(tables):
            raise ValueError(f"{len(self._tracks)} tracks came of {len(tables)}")
        for track, table in zip(self._tracks, tables, strict=True):
            self._check(track, table)

    def rebuilt(self, lead: int) -> bytes:
        """Return the box, with places behind a head of so many bytes."""
        (whole,) = iter_boxes(self._movie, 0, len(self._movie))
        return self._rebuilt(whole, lead, {})

    def _rebuilt(self, box: Box, lead: int, replaced: Mapping[bytes, bytes]) -> bytes:
        if box.kind in replaced:
            return replaced[box.kind]
        if box.kind not in CONTAINERS:
            return whole_box(self._movie, box)
        if box in self._tracks:
            replaced = self._tables[self._tracks.index(box)].boxes(lead, is_large=self._is_large)
        inner = iter_boxes(self._movie, box.start, box.end)
        return write_box(box.kind, b"".join(self._rebuilt(part, lead, replaced) for part in inner))

    def _check(self, track: Box, table: SampleTable) -> None:
        """Raise ValueError for a track that has not the samples of its table; tell its bit rate where that is told."""
        medium = self._inner(track, b"mdia")
        clock, handler = (self._inner(medium, kind) for kind in (b"mdhd", b"hdlr"))
        samples = self._inner(self._inner(medium, b"minf"), b"stbl")
        (count,) = struct.unpack_from(">I", self._movie, self._inner(samples, b"stsz").start + 8)
        if count != len(table.sizes):
            raise ValueError(f"{count} samples came of {len(table.sizes)}")
        seconds = read_number(self._movie, clock, {0: (16, ">I"), 1: (24, ">Q")}) / max(
            read_number(self._movie, clock, TIME_SCALE), 1
        )
        rate = min(int(8 * int(table.sizes.sum()) / seconds) if seconds else 0, LARGE - 1)
        kind = bytes(self._movie[handler.start + 8 : handler.start + 12])
        described = self._inner(samples, b"stsd")
        for entry in iter_boxes(self._movie, described.start + 8, described.end):
            for box in iter_boxes(self._movie, entry.start + ENTRY_LEADS.get(kind, entry.end), entry.end):
                self._tell_rate(box, rate)

    def _tell_rate(self, box: Box, rate: int) -> None:
        place = box.start
        if box.kind == b"btrt":
            place += RATES_PLACE
        elif box.kind == b"esds" and self._movie[box.start + DECODER_TAG_PLACE] == DECODER_TAG:
            place += DECODER_RATES_PLACE
        else:
            return
        most, _ = RATES.unpack_from(self._movie, place)
        RATES.pack_into(self._movie, place, max(most, rate), rate)

    def _inner(self, box: Box, kind: bytes) -> Box:
        return only_box(list(iter_boxes(self._movie, box.start, box.end)), kind)

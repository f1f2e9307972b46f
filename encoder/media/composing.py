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
# What of the tables of a track does not tell its times: it is replaced in any case, or the same for all samples.
UNTIMED = (b"stsd", b"stsz", b"stsc", b"stco", b"co64", b"sgpd")
GROUPS = b"sbgp"
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
                    table.times.append(run.times)

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

    def write_head(self, path: Path, ends: "Composition | None" = None) -> None:
        """Have a film that was made of the skeletons become the head of the one that is composed, up to its samples.
        It may be made of the `ends` alone, which begin and end as the whole does: then it gets the times of all samples
        too. Raises ValueError where its tracks have not the samples of the files, or the times of the ends are not told
        as they are here. The file is as it was then."""
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
        writer = _MovieWriter(movie, self._all_tables, ends._all_tables if ends else None, is_large=roomy >= LARGE)
        lead = len(kind) + len(writer.rebuilt(0)) + len(body)
        path.write_bytes(kind + writer.rebuilt(lead) + body)

    @property
    def _all_tables(self) -> Sequence[SampleTable]:
        return [table for tables in self._tables for table in tables]

    @property
    def _count(self) -> int:
        return sum(len(run) for table in self._all_tables for run in table.runs)


def _in_order(number: int, part: ComposedTracks) -> Iterator[tuple[Fraction, int, int, SampleFragment]]:
    """Yield the fragments of tracks, each by its time, the number of its part and that of its file; no time is before
    the one that it follows."""
    fragments = [(file, fragment) for file, index in part.files for fragment in index.fragments]
    times = accumulate((fragment.begin for _, fragment in fragments), max)
    for time, (file, fragment) in zip(times, fragments, strict=True):
        yield time, number, file, fragment


def _group_box(count: int) -> bytes:
    """Return the box that has all of so many samples of sound need the one before to be heard right."""
    return write_box(GROUPS, struct.pack(">I4sIII", 0, b"roll", 1, count, 1))


class _MovieWriter:
    """Writes the box of a movie anew, with other tables of samples; of one that was made of the `ends` of what the
    tables tell, also with the times of all."""

    def __init__(
        self, movie: bytes, tables: Sequence[SampleTable], ends: Sequence[SampleTable] | None, *, is_large: bool
    ) -> None:
        self._movie = bytearray(movie)
        self._tables = tables
        self._is_large = is_large
        self._times: list[Mapping[bytes, bytes]] = []
        (whole,) = iter_boxes(self._movie, 0, len(self._movie))
        self._tracks = [box for box in iter_boxes(self._movie, whole.start, whole.end) if box.kind == b"trak"]
        if len(self._tracks) != len(tables):
            raise ValueError(f"{len(self._tracks)} tracks came of {len(tables)}")
        for track, table, made in zip(self._tracks, tables, ends or tables, strict=True):
            samples = self._check(track, table, len(made.sizes))
            self._times.append(self._stretched(samples, table, made) if ends else {})

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
            number = self._tracks.index(box)
            replaced = {**self._tables[number].boxes(lead, is_large=self._is_large), **self._times[number]}
        inner = iter_boxes(self._movie, box.start, box.end)
        return write_box(box.kind, b"".join(self._rebuilt(part, lead, replaced) for part in inner))

    def _check(self, track: Box, table: SampleTable, made: int) -> Box:
        """Raise ValueError for a track that has not so many samples; tell the bit rate of those of its table where that
        is told, and return the box of its tables."""
        medium = self._inner(track, b"mdia")
        clock, handler = (self._inner(medium, kind) for kind in (b"mdhd", b"hdlr"))
        samples = self._inner(self._inner(medium, b"minf"), b"stbl")
        (count,) = struct.unpack_from(">I", self._movie, self._inner(samples, b"stsz").start + 8)
        if count != made:
            raise ValueError(f"{count} samples came of {made}")
        seconds = read_number(self._movie, clock, {0: (16, ">I"), 1: (24, ">Q")}) / max(
            read_number(self._movie, clock, TIME_SCALE), 1
        )
        rate = min(int(8 * int(table.sizes.sum()) / seconds) if seconds else 0, LARGE - 1)
        kind = bytes(self._movie[handler.start + 8 : handler.start + 12])
        described = self._inner(samples, b"stsd")
        for entry in iter_boxes(self._movie, described.start + 8, described.end):
            for box in iter_boxes(self._movie, entry.start + ENTRY_LEADS.get(kind, entry.end), entry.end):
                self._tell_rate(box, rate)
        return samples

    def _stretched(self, samples: Box, table: SampleTable, ends: SampleTable) -> Mapping[bytes, bytes]:
        """Return the boxes of the times of a table, where those of its ends are, byte for byte, what is there. How long
        the track is, is there already, as the ends have it: until the last sample that is shown."""
        boxes = [box for box in iter_boxes(self._movie, samples.start, samples.end) if box.kind not in UNTIMED]
        there = {box.kind: whole_box(self._movie, box) for box in boxes}
        groups = [kind for kind in there if kind == GROUPS]
        expected, whole = (
            {**one.time_boxes(), **{kind: _group_box(len(one.sizes)) for kind in groups}} for one in (ends, table)
        )
        if len(boxes) != len(there) or there != expected or whole.keys() != expected.keys():
            raise ValueError("its times are told otherwise")
        if table.shown_until() != ends.shown_until():
            raise ValueError("a sample of its middle is shown after its end")
        return whole

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

"""The index of an MP4, cut to some of its packets: what stands before the file has it opened as one that holds these
packets alone, and without the rest of its index being there. Source: ISO/IEC 14496-12, 8.6 and 8.7."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from encoder.media.info import Range, Source
from encoder.media.mp4_boxes import LARGE_SIZE, SIZE_AND_KIND, Box, iter_boxes, mapped, only_box
from encoder.media.packet_index import MEDIA, FilmIndex, StreamIndex
from encoder.media.sample_tables import place_box, run_box, size_boxes, whole_box, write_box, write_full_box

Numbers = npt.NDArray[np.int64]

# Boxes of a file beside its media, and their bytes without tables: every piece has them.
MAX_BOXES, MAX_BYTES = 16, 16 * 1024
# From here on places take eight bytes; less what an index of its own has at the most.
LARGE = (1 << 32) - (1 << 28)
MAX_NUMBER = (1 << 31) - 1
# Boxes of a movie and of its tracks that have other packets looked for than those of a plain file.
UNUSUAL = (b"mvex", b"tref")
# Of a table of samples, what is read; of sync samples the index of packets tells.
READ = (b"stsd", b"stsz", b"stts", b"ctts", b"sdtp")
HANDLER = slice(8, 12)
HANDLERS = {True: b"vide", False: b"soun"}


@dataclass(frozen=True)
class _CutTrack:
    """A track that can be cut: its box, its packets, how long each of them is, by how much it is shown after it is
    decoded, and what is told of its dependence, nothing where none is."""

    box: Box
    stream: StreamIndex
    lengths: Numbers
    delays: Numbers
    dependence: bytes


@dataclass(frozen=True)
class IndexCutter:
    """Cuts the index of a film: `ranges` of the file are its index as it is; the boxes beside the movie, and the movie
    itself, with the tracks that are cut."""

    film: FilmIndex
    ranges: tuple[Range, ...]
    _boxes: tuple[bytes, ...]
    _movie: bytes
    _tracks: tuple[_CutTrack, ...]

    @classmethod
    def of(cls, source: Source, film: FilmIndex, shown: tuple[int, int]) -> "IndexCutter | None":
        """Return what cuts the index of a file, a picture of which, by its place, is `shown` at a time; None for an
        index that cannot be told in other words."""
        try:
            with mapped(source.path) as data:
                boxes = [box for box in _outer_boxes(data) if box.kind not in MEDIA]
                if len(boxes) > MAX_BOXES:
                    return None
                ranges = tuple((box.start - SIZE_AND_KIND.size, box.end) for box in boxes)
                own = {box.kind: whole_box(data, box) for box in boxes}
            movie = own.pop(b"moov")
            if len(own) < len(boxes) - 1 or _holds_packets(film, ranges):
                return None
            tracks = tuple(_read_tracks(movie, film, shown))
            cutter = cls(film, ranges, tuple(own.values()), movie, tracks)
            empty = cutter.cut([range(0) for _ in tracks])
        except (ValueError, LookupError, struct.error):
            return None
        return cutter if len(empty) <= MAX_BYTES else None

    def cut(self, runs: Sequence[range]) -> bytes:
        """Return the index of these packets of the picture and of each stream of sound, which begin at 0; the file as
        it is, or what of it holds them, is to follow."""
        is_large = self.film.size_bytes > LARGE
        tables = [_SampleBoxes.of(track, run) for track, run in zip(self._tracks, runs, strict=True)]
        lead = len(self._head(tables, 0, is_large=is_large))
        return self._head(tables, lead, is_large=is_large)

    def _head(self, tables: Sequence["_SampleBoxes"], lead: int, *, is_large: bool) -> bytes:
        tracks = [
            _written_track(self._movie, track, own.written(lead, is_large=is_large))
            for track, own in zip(self._tracks, tables, strict=True)
        ]
        (movie,) = iter_boxes(self._movie, 0, len(self._movie))
        parts = [box for box in iter_boxes(self._movie, movie.start, movie.end) if box.kind not in (b"trak", *MEDIA)]
        header = only_box(parts, b"mvhd")
        rest = [whole_box(self._movie, box) for box in parts if box is not header]
        written = write_box(b"moov", b"".join([whole_box(self._movie, header), *tracks, *rest]))
        size = SIZE_AND_KIND.size + LARGE_SIZE.size + self.film.size_bytes
        return b"".join([*self._boxes, written, SIZE_AND_KIND.pack(1, b"mdat"), LARGE_SIZE.pack(size)])


def _outer_boxes(data: "bytes | object") -> Iterator[Box]:
    """Yield the boxes of a file. Raises ValueError for more than one of its kinds may have, or one of a size that only
    media have."""
    size = len(data)  # type: ignore[arg-type]
    end = 0
    for box in islice(iter_boxes(data, 0, size), MAX_BOXES * MAX_BOXES):  # type: ignore[arg-type]
        if box.kind not in MEDIA and box.start - end != SIZE_AND_KIND.size:
            raise ValueError("a box has an unusual head")
        yield box
        end = box.end


def _holds_packets(film: FilmIndex, ranges: Sequence[Range]) -> bool:
    """Return True where packets are told to lie in what is no media."""
    streams = (film.picture, *film.sound)
    return any(
        bool(np.any((stream.offsets < end) & (stream.offsets + stream.sizes > start)))
        for stream in streams
        for start, end in ranges
    )


def _read_tracks(movie: bytes, film: FilmIndex, shown: tuple[int, int]) -> Iterator[_CutTrack]:
    """Yield the tracks of the film. Raises ValueError, LookupError for what cannot be cut."""
    (whole,) = iter_boxes(movie, 0, len(movie))
    parts = list(iter_boxes(movie, whole.start, whole.end))
    boxes = [box for box in parts if box.kind == b"trak"]
    if any(box.kind in UNUSUAL for box in parts):
        raise ValueError("it may go on in fragments")
    for stream in (film.picture, *film.sound):
        is_picture = stream is film.picture
        track = boxes[stream.stream]
        tables = _Tables(movie, track, stream, is_picture=is_picture)
        delays = tables.delays(shown if is_picture else None)
        yield _CutTrack(track, stream, tables.lengths(), delays, tables.dependence)


class _Tables:
    """Reads the tables of a track. Raises ValueError for those that are not of the packets of a stream."""

    def __init__(self, movie: bytes, track: Box, stream: StreamIndex, *, is_picture: bool) -> None:
        self._movie, self._stream, self._count = movie, stream, len(stream.times)
        parts = list(iter_boxes(movie, track.start, track.end))
        if any(box.kind in UNUSUAL for box in parts):
            raise ValueError("a track refers to others")
        medium = _inner(movie, only_box(parts, b"mdia"))
        handler = only_box(medium, b"hdlr")
        if movie[handler.start :][HANDLER] != HANDLERS[is_picture]:
            raise ValueError("a track is of another kind")
        samples = _inner(movie, only_box(_inner(movie, only_box(medium, b"minf")), b"stbl"))
        kinds = {box.kind for box in samples}.intersection(READ)
        self._boxes: Mapping[bytes, Box] = {kind: only_box(samples, kind) for kind in kinds}
        (descriptions,) = struct.unpack_from(">I", movie, self._boxes[b"stsd"].start + 4)
        if descriptions != 1 or not np.array_equal(self._sizes(), stream.sizes):
            raise ValueError("its samples are not the packets")

    @property
    def dependence(self) -> bytes:
        """What is told of how pictures depend on each other; nothing where that is not told of all."""
        box = self._boxes.get(b"sdtp")
        told = self._movie[box.start + 4 : box.end] if box else b""
        return told if len(told) == self._count else b""

    def lengths(self) -> Numbers:
        """Return how long each packet is."""
        found = np.append(np.diff(self._stream.times), self._runs(b"stts")[-1, 1])
        return _checked(found)

    def delays(self, shown: tuple[int, int] | None) -> Numbers:
        """Return by how much each packet is shown after it is decoded, where one, by its place, is `shown` at a time;
        that of sound is heard as it is decoded."""
        told = np.zeros(self._count, np.int64)
        if b"ctts" in self._boxes:
            runs = self._runs(b"ctts")
            if shown is None or runs[:, 0].sum() != self._count:
                raise ValueError("it is not told of each packet when it is shown")
            told = np.repeat(runs[:, 1].astype(np.int32).astype(np.int64), runs[:, 0])
        if shown is not None:
            place, time = shown
            told += time - self._stream.times[place] - told[place]
        return _checked(told)

    def _sizes(self) -> Numbers:
        start = self._boxes[b"stsz"].start
        _, same, count = struct.unpack_from(">III", self._movie, start)
        if same or count != self._count:
            raise ValueError("its packets are of one size, or others")
        return np.frombuffer(self._movie, ">u4", count, start + 12).astype(np.int64)

    def _runs(self, kind: bytes) -> Numbers:
        start = self._boxes[kind].start
        (count,) = struct.unpack_from(">I", self._movie, start + 4)
        return np.frombuffer(self._movie, ">u4", 2 * count, start + 8).reshape(-1, 2).astype(np.int64)


def _checked(numbers: Numbers) -> Numbers:
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= MAX_NUMBER:
        raise ValueError("times cannot be told in another order")
    return numbers


def _written_track(movie: bytes, track: _CutTrack, tables: bytes) -> bytes:
    def written(box: Box) -> bytes:
        """Return a box with those within it; that of samples with other tables, and without an edit list."""
        if box.kind == b"stbl":
            return write_box(box.kind, whole_box(movie, only_box(_inner(movie, box), b"stsd")) + tables)
        if box.kind not in (b"trak", b"mdia", b"minf"):
            return whole_box(movie, box)
        return write_box(box.kind, b"".join(written(part) for part in _inner(movie, box) if part.kind != b"edts"))

    return written(track.box)


@dataclass(frozen=True)
class _SampleBoxes:
    """The tables of some packets of a track: the boxes that do not tell where they are, and where each run of them
    begins in the file."""

    boxes: bytes
    places: Numbers

    @classmethod
    def of(cls, track: _CutTrack, run: range) -> "_SampleBoxes":
        part, stream = slice(run.start, run.stop), track.stream
        offsets, sizes, keys, delays = stream.offsets[part], stream.sizes[part], stream.keys[part], track.delays[part]
        # Packets that do not follow the one before begin a run.
        firsts = np.append(np.zeros(min(len(sizes), 1), np.int64), np.flatnonzero(np.diff(offsets) != sizes[:-1]) + 1)
        boxes = [run_box(b"stts", track.lengths[part])]
        if delays.any():
            boxes.append(run_box(b"ctts", delays))
        if not keys.all():
            boxes.append(write_full_box(b"stss", (np.flatnonzero(keys) + 1).astype(">u4")))
        if track.dependence:
            boxes.append(write_box(b"sdtp", bytes(4) + track.dependence[part]))
        stsz, stsc = size_boxes(sizes, np.diff(firsts, append=len(sizes)))
        return cls(b"".join([*boxes, stsc, stsz]), offsets[firsts])

    def written(self, lead: int, *, is_large: bool) -> bytes:
        """Return the tables of a file that comes behind so many bytes."""
        return self.boxes + place_box(self.places + lead, is_large=is_large)


def _inner(movie: bytes, box: Box) -> list[Box]:
    return list(iter_boxes(movie, box.start, box.end))

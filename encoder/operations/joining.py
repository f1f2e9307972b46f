"""Pieces of one film that encoders made, before they are put together by copying: whether they fit; and how a film is
composed of them, of which no more than their index has come."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream as AvVideo

from apigpu.encoder.v1 import encoder_pb2
from encoder.media.composing import ComposedTracks, Composition
from encoder.media.containers import MP4_DEMUXER, NO_OPTIONS, PACKETS_AS_STORED, open_container
from encoder.media.info import Source
from encoder.media.outlines import outline_too_small
from encoder.media.sample_index import SampleIndex, read_index
from encoder.operations.plan import PlanContext
from encoder.splice import scan
from servicekit.errors import FailedPrecondition

PIECES = "pieces"


@dataclass(frozen=True)
class PieceTracks:
    """What pieces have in common: the name of the video codec, and the places of the video and of the tracks of sound
    among their streams."""

    codec: str
    video: int
    sound: tuple[int, ...]


@dataclass(frozen=True)
class Skeletons:
    """Files of which a film is composed: their skeletons, which stand for them while it is put together."""

    context: PlanContext
    indexes: dict[str, SampleIndex]

    @classmethod
    def read(cls, context: PlanContext) -> "Skeletons":
        """Write the skeletons of all inputs of a task. Raises FailedPrecondition (reason OUTLINE_TOO_SMALL) where one
        has no index."""
        indexes, sources = {}, {}
        for field, source in context.sources.items():
            try:
                indexes[field] = read_index(source.path)
            except ValueError as error:
                raise outline_too_small(source) from error
            path = context.folder / f"skeleton-{source.path.name}.mp4"
            indexes[field].write_skeleton(path)
            sources[field] = replace(source, path=path, is_outline=False)
        return cls(replace(context, sources=sources), indexes)

    def with_other_headers(self, pieces: Sequence[Source]) -> list[Source]:
        """Return those of some pieces whose headers are not, byte for byte, that of one before: what all have in
        common need be read of these alone."""
        return list({self.indexes[piece.field].header: piece for piece in reversed(pieces)}.values())[::-1]

    def composing(
        self, *tracks: tuple[Sequence[str], Sequence[int]]
    ) -> Callable[[Path], Sequence[encoder_pb2.ComposedRange]]:
        """Return what composes the film: its tracks, in their order, are those of files, by their fields, which have
        them at these places."""

        def compose(path: Path) -> Sequence[encoder_pb2.ComposedRange]:
            try:
                return list(self._composed(path, tracks))
            except ValueError as error:
                raise outline_too_small(self.context.source(tracks[0][0][0])) from error

        return compose

    def _composed(
        self, path: Path, tracks: Sequence[tuple[Sequence[str], Sequence[int]]]
    ) -> Iterator[encoder_pb2.ComposedRange]:
        composition = self.composition(tracks)
        composition.write_head(path)
        yield from named_ranges(composition)

    def composition(self, tracks: Sequence[tuple[Sequence[str], Sequence[int]]]) -> Composition:
        """Return the order of the samples of a film; see `composing`."""
        paths = dict.fromkeys(source.path for source in self.context.sources.values())
        numbers = {path: number for number, path in enumerate(paths)}  # in the order of the task's inputs
        return Composition(
            [
                ComposedTracks(
                    [(numbers[self.context.source(field).path], self.indexes[field]) for field in fields], places
                )
                for fields, places in tracks
            ]
        )

    def ends(self, pieces: Sequence[Source], places: Sequence[int]) -> list[Source]:
        """Return those of the pieces of a film that have the first and the last samples of its tracks: what is made of
        them by copying begins and ends as the film does. Of each track the last two, as the one before a gap is taken
        for as long as that."""
        found: set[int] = set()
        for place in places:
            having = [
                number
                for number, piece in enumerate(pieces)
                if any(run.track == place for one in self.indexes[piece.field].fragments for run in one.runs)
            ]
            found.update(having[:1], having[-2:])
        return [pieces[number] for number in sorted({0, *found})]


@dataclass(eq=False)
class StretchedFilm:
    """A film composed of pieces, of which FFmpeg puts together no more than the `ends`: what it would say of all others
    is known. Where it would not be told as FFmpeg does, FFmpeg is to put all together."""

    skeletons: Skeletons
    places: Sequence[int]
    pieces: Sequence[Source]
    ends: Sequence[Source]
    _composition: Composition | None = None

    def is_stretched(self, path: Path) -> bool:
        """Have what was made of the ends become the head of the film; return False where that cannot be."""
        composition = self._of(self.pieces)
        try:
            composition.write_head(path, self._of(self.ends))
        except ValueError:
            return False
        self._composition = composition
        return True

    def compose(self, path: Path) -> Sequence[encoder_pb2.ComposedRange]:
        """Return the ranges that follow the head, which is written now where all was put together."""
        if self._composition is not None:
            return list(named_ranges(self._composition))
        return self.skeletons.composing(*self._tracks(self.pieces))(path)

    def _of(self, pieces: Sequence[Source]) -> Composition:
        return self.skeletons.composition(self._tracks(pieces))

    def _tracks(self, pieces: Sequence[Source]) -> Sequence[tuple[Sequence[str], Sequence[int]]]:
        return [([piece.field for piece in pieces], self.places)]


def named_ranges(composition: Composition) -> Iterator[encoder_pb2.ComposedRange]:
    """Yield the ranges of inputs that a film is composed of."""
    for found in composition.ranges:
        yield encoder_pb2.ComposedRange(input=found.file, start=found.start, end=found.end)


def tracks_of(piece: Source) -> PieceTracks:
    """Return the tracks of a piece, as its header has them. Raises InvalidArgument for what is none."""
    with open_container(piece, (MP4_DEMUXER,), more=PACKETS_AS_STORED) as opened:
        if not opened.streams.video:
            raise unfit(piece, "it has no picture")
        video = opened.streams.video[0]
        return PieceTracks(video.codec.canonical_name, video.index, tuple(one.index for one in opened.streams.audio))


def check_alike(
    pieces: Sequence[Source], counts: Sequence[int] | None = None, options: Mapping[str, str] = NO_OPTIONS
) -> int:
    """Raise FailedPrecondition where a piece has other streams, or other parameter sets, than the first, or not the
    pictures that were planned (`counts`, of each): what would come of it is a broken file. Return the most pictures
    that any of them decodes before one that is shown earlier, where these are counted. `options` are of FFmpeg."""
    expected, most = None, 0
    for number, piece in enumerate(pieces):
        with open_container(piece, (MP4_DEMUXER,), more=options) as opened:
            found = _format(opened)
            expected = expected or found
            if found != expected:
                raise unfit(piece, "it was encoded otherwise than the first one")
            if counts is not None:
                most = max(most, _check_pictures(piece, opened, counts[number]))
    return most


def _format(opened: InputContainer) -> tuple[Hashable, ...]:
    return tuple(
        (stream.type, stream.time_base, context.name, context.extradata, *_shape(stream))
        for stream in opened.streams
        for context in [stream.codec_context]
    )


def _shape(stream: object) -> tuple[Hashable, ...]:
    if not isinstance(stream, AvVideo):
        return ()
    return stream.codec_context.pix_fmt, stream.width, stream.height, stream.sample_aspect_ratio


def _check_pictures(piece: Source, opened: InputContainer, planned: int) -> int:
    """Return the most pictures of a piece that are decoded before one that is shown earlier. Raises FailedPrecondition
    where it has not so many as were planned, all timed and shown, the first of which needs no other."""
    packets = [
        (None if packet.is_discard else packet.pts, packet.is_keyframe)
        for packet in opened.demux(*opened.streams.video[:1])
        if packet.size
    ]
    if len(packets) != planned:
        raise unfit(piece, f"it has {len(packets)} frames where {planned} were planned")
    shown = [time for time, _ in packets if time is not None]
    if not packets[0][1] or len(shown) < planned:
        raise unfit(piece, "its pictures cannot be put after those of another")
    return scan.reordered(np.array(shown, np.int64))


def unfit(piece: Source, why: str) -> FailedPrecondition:
    """Return the error of a piece that others cannot be joined with; `why` says what it is."""
    text = f"{piece.field}: {why}, so that the pieces of the film do not fit together; give all encoders one version "
    text += "of api-gpu, of FFmpeg and of the card's driver, and submit the job again."
    return FailedPrecondition(text, reason="PIECES_DIFFER")

"""A long captioned video as pieces, for several encoders: where it is cut, and the tasks that it goes on with.

It is cut by its index, at keyframes, without a picture of it being decoded; so the planning needs no more than that.
Each piece comes with the ranges of the file that it is made of.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from math import ceil

import av
import numpy as np

from apigpu.encoder.v1 import encoder_pb2
from apigpu.encoder.v1 import story_pb2 as parts_pb2
from apigpu.v1 import video_pb2
from encoder.audio import tracks
from encoder.captions import changes, collisions
from encoder.codecs.base import Codec
from encoder.ffmpeg.command import TrackFit
from encoder.media import keyframes, packet_index
from encoder.media.cut_index import IndexCutter
from encoder.media.fragments import SEGMENT_SECONDS
from encoder.media.info import MediaInfo, Range, Source, VideoStream
from encoder.media.packet_index import FilmIndex, StreamIndex
from encoder.media.timeline import LONG_SECONDS
from encoder.operations import story_codec
from encoder.operations.joining import PIECES
from encoder.operations.plan import PlanContext, is_streamable
from encoder.splice import copying
from encoder.story.piece_lengths import piece_seconds
from servicekit.process import usable_cores

VIDEO, CAPTIONS = "url_video", "captions"
# What is shorter is made in less time than it takes to share it out.
MIN_SPLIT_SECONDS = 60.0
MAX_PIECES = 500
# Between two keyframes of a video that plays while it is made, and of which frames are copied.
MAX_WATCHED_GOP = 12.0
# Keyframes that are tried for each cut, the nearest first.
TRIED_KEYFRAMES = 5
# Pictures that stand as long as each other, as files round their times.
SAME_TICKS = 1
# Sound of which the index has each packet as it is read.
WHOLE_PACKETS = ("aac", "alac")
# As x264 itself has them: threads, and frames between pictures that need no other.
THREADS_PER_CORE = 1.5
KEY_FRAMES = 250


@dataclass(frozen=True)
class FilmPiece:
    """The packets of a piece: those of the picture, and of each stream of sound, by their place in the index."""

    picture: range
    sound: tuple[range, ...]


@dataclass(frozen=True)
class SplitFilm:
    """A video in pieces, with what they have in common; where pieces copy frames, also what the others are encoded
    to. Unless its index cannot be cut, each piece has its own, and those that are the index of the video are ranges of
    it that pieces do without."""

    index: FilmIndex
    pieces: tuple[FilmPiece, ...]
    video: VideoStream
    seconds: float
    fit: TrackFit | None = None
    own_indexes: tuple[bytes, ...] = ()
    index_ranges: tuple[Range, ...] = ()

    @property
    def target_seconds(self) -> int:
        """No segment of a piece that plays is longer: pictures that need no other are where the encoder puts them, or
        where the video has them."""
        own = longest_gop(self.index) if self.fit is not None else 0
        return max(SEGMENT_SECONDS, ceil(KEY_FRAMES / self.video.frame_rate), ceil(own))


def split(
    source: Source,
    info: MediaInfo,
    video: VideoStream,
    script: str,
    context: PlanContext,
    fit: TrackFit | None = None,
) -> SplitFilm | None:
    """Return a video in pieces, with the captions of a script; None where it is made as a whole. With a `fit` the
    pieces copy frames that no caption touches."""
    if (context.workers < 2 and not context.is_watched) or video.duration_seconds < MIN_SPLIT_SECONDS:
        return None
    if info.is_cut_off or source.allow_partial or video.sizes or not video.decodes:
        return None
    if not all(tracks.is_copied(stream) and stream.codec in WHOLE_PACKETS for stream in info.audio):
        return None
    index = packet_index.read_index(source, info)
    if index is None or not _is_steady(index.picture) or not keyframes.are_true(source, index):
        return None
    if fit is not None and context.is_watched and longest_gop(index) > MAX_WATCHED_GOP:
        return None
    cuts = _cuts(source, index, video, script, _wanted(index, video, script, context, fit))
    if not cuts:
        return None
    pieces = tuple(_pieces(index, cuts))
    film = SplitFilm(index, pieces, video, info.duration_seconds, fit)
    cutter = IndexCutter.of(source, index, next(iter(cuts.items())))
    if cutter is None:
        return film
    own = tuple(cutter.cut([piece.picture, *piece.sound]) for piece in pieces)
    return replace(film, own_indexes=own, index_ranges=cutter.ranges)


def longest_gop(index: FilmIndex) -> float:
    """Return the most seconds between two keyframes of a video, or one and its end."""
    picture = index.picture
    keys = np.append(picture.times[picture.keys], picture.times[-1])
    return float(np.diff(keys).max(initial=0) * picture.time_base)


def _wanted(
    index: FilmIndex, video: VideoStream, script: str, context: PlanContext, fit: TrackFit | None
) -> Sequence[float]:
    """Return when a video is to be cut, in seconds: by how long its pieces last, or, where they copy frames, by what
    they take to make."""
    workers, seconds = max(context.workers, 1), video.duration_seconds
    if fit is None or context.is_watched:
        lengths = piece_seconds(seconds, workers, MAX_PIECES, is_watched=context.is_watched)
        return list(accumulate(lengths))[:-1]
    picture = index.picture
    # The index has when they are decoded: the first one is shown first.
    keys = ((picture.times[picture.keys] - picture.times[0]) * float(picture.time_base)).astype(np.float64)
    places, efforts = copying.efforts(changes.shown_spans(script), keys, seconds)
    lengths = piece_seconds(efforts[-1], workers, MAX_PIECES, is_watched=False)
    found: list[float] = np.interp(list(accumulate(lengths))[:-1], efforts, places).tolist()
    return found


def _is_steady(picture: StreamIndex) -> bool:
    """Return True where all pictures stand equally long, and not for long."""
    steps = np.diff(picture.times)
    return (
        len(steps) > 0 and int(np.ptp(steps)) <= SAME_TICKS and float(steps.max() * picture.time_base) <= LONG_SECONDS
    )


def _cuts(source: Source, index: FilmIndex, video: VideoStream, script: str, wanted: Sequence[float]) -> dict[int, int]:
    """Return the keyframes at which a video is cut, by their place in the index when they are shown: the nearest to
    the seconds that are wanted, as far as they can be cut at."""
    keys = np.flatnonzero(index.picture.keys)[1:]
    times = index.picture.times[keys] * float(index.picture.time_base) - float(index.start)
    near = [keys[np.argsort(np.abs(times - time), kind="stable")[:TRIED_KEYFRAMES]].tolist() for time in wanted]
    spans = collisions.collision_spans(script)
    found: dict[int, int] = {}
    # Of most cuts the nearest one will do: the others are read only for those that it will not do for.
    while any(near):
        shown = packet_index.closed_keyframes(source, index, sorted({places[0] for places in near if places}))
        calm = {place: time for place, time in shown.items() if _is_calm(index, video, spans, time)}
        found |= calm
        near = [places[1:] for places in near if places and places[0] not in calm]
    return dict(sorted(found.items()))


def _is_calm(index: FilmIndex, video: VideoStream, spans: Sequence[tuple[int, int]], time: int) -> bool:
    """Return True where captions are drawn from a time on as they would be in a drawing of the whole."""
    frame = round((time * index.picture.time_base - index.start) * video.frame_rate)
    return not collisions.is_within(spans, int(frame * 1000 / video.frame_rate))


def _pieces(index: FilmIndex, cuts: dict[int, int]) -> Iterator[FilmPiece]:
    """Yield the pieces between the cuts; of the sound each packet is in the piece in which it begins."""
    pictures = [0, *cuts, len(index.picture.times)]
    sounds = [
        [0, *(_place(stream, time * index.picture.time_base) for time in cuts.values()), len(stream.times)]
        for stream in index.sound
    ]
    edges = zip(pairwise(pictures), *(pairwise(places) for places in sounds), strict=True)
    for picture, *heard in edges:
        yield FilmPiece(range(*picture), tuple(range(*one) for one in heard))


def _place(stream: StreamIndex, time: Fraction) -> int:
    """Return the place of the first packet that begins at a time, in seconds, or after."""
    return int(np.searchsorted(stream.times, ceil(time / stream.time_base)))


def further_tasks(
    request: video_pb2.CaptionRequest, film: SplitFilm, codec: Codec, why_whole: str, planned_bytes: int
) -> Iterator[encoder_pb2.FurtherTask]:
    """Yield the tasks that a video in pieces goes on with: the pieces, and what joins them. `why_whole` says why none
    of its frames is copied. What was planned for the pieces, their own indexes and then the captions, has so many
    bytes."""
    # What x264 makes depends on them: they must be the same however busy an encoder is.
    threads = round(THREADS_PER_CORE * usable_cores())
    for number, piece in enumerate(film.pieces):
        yield _piece_task(film, number, piece, codec, threads, planned_bytes)
    join = parts_pb2.CaptionJoin(
        piece_count=len(film.pieces),
        frames=len(film.index.picture.times),
        seconds=film.seconds,
        container=request.container,
        whole_reason=why_whole,
    )
    yield encoder_pb2.FurtherTask(
        part=parts_pb2.StoryPart(caption_join=join).SerializeToString(),
        inputs=[
            encoder_pb2.FurtherInput(field=f"{PIECES}[{number}]", task=number) for number in range(len(film.pieces))
        ],
        is_result=True,
        item="film",
        kind="caption.join",
        composes=not is_streamable(request),
    )


def _piece_task(
    film: SplitFilm, number: int, piece: FilmPiece, codec: Codec, threads: int, planned_bytes: int
) -> encoder_pb2.FurtherTask:
    index, rate = film.index, film.video.frame_rate
    runs = [(index.picture, piece.picture), *zip(index.sound, piece.sound, strict=True)]
    picture, *sound = (_packet_run(*run) for run in runs)
    part = parts_pb2.CaptionPiece(
        picture=picture,
        sound=sound,
        width=film.video.width,
        height=film.video.height,
        rate_frames=rate.numerator,
        rate_seconds=rate.denominator,
        threads=threads,
    )
    story_codec.write(codec, part)
    if film.fit is not None:
        part.splice.CopyFrom(story_codec.write_fit(film.fit))
    captions = encoder_pb2.FurtherInput(field=CAPTIONS, planned=True)
    if film.own_indexes:
        start, end, last = (sum(map(len, film.own_indexes[:count])) for count in (number, number + 1, None))
        begin, rates = int(index.start * av.time_base), [stream.bit_rate for stream, _ in runs]
        own = parts_pb2.OwnIndex(start=start, end=end, begin_microseconds=begin, bit_rates=rates)
        part.index.CopyFrom(own)
        needed = [(start, end), (last, planned_bytes)] if end < last else [(start, planned_bytes)]
        captions.planned_ranges.extend(_byte_ranges(needed))
        captions.source_bytes = planned_bytes
    ranges = packet_index.ranges_of(index, runs)
    return encoder_pb2.FurtherTask(
        part=parts_pb2.StoryPart(caption_piece=part).SerializeToString(),
        inputs=[
            encoder_pb2.FurtherInput(
                field=VIDEO,
                request_field=VIDEO,
                ranges=_byte_ranges(ranges),
                source_bytes=index.size_bytes,
                index_ranges=_byte_ranges(film.index_ranges),
            ),
            captions,
        ],
        item=f"piece {number + 1}",
        kind="caption.piece" if film.fit is None else "caption.splice",
        codec=codec.name,
        frames=len(piece.picture),
        # Of two tracks of sound players in browsers take none.
        plays=encoder_pb2.PLAYS_PICTURE if len(piece.sound) < 2 else encoder_pb2.PLAYS_UNSPECIFIED,
        target_seconds=film.target_seconds,
    )


def _byte_ranges(ranges: Iterable[Range]) -> list[encoder_pb2.ByteRange]:
    return [encoder_pb2.ByteRange(start=start, end=end) for start, end in ranges]


def _packet_run(stream: StreamIndex, places: range) -> parts_pb2.PacketRun:
    first = int(stream.times[places.start]) if places else 0
    return parts_pb2.PacketRun(stream=stream.stream, first_dts=first, packets=len(places))

"""A captioned film of which only the frames with captions are encoded; the others are the packets of its source."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ffmpeg

from encoder.captions import changes
from encoder.codecs.base import X264
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import COPY, FfmpegRun, FilteredFrames, OutputSpec, TrackFit
from encoder.media.containers import MP4_DEMUXER
from encoder.media.info import MediaInfo, Size, Source, VideoStream, bad_input
from encoder.media.pieces import CLOCK_SECONDS
from encoder.operations import splice_codec, spliced_piece
from encoder.operations.plan import Extent, PlanContext, copy_video
from encoder.splice import muxing, scan, segments
from encoder.splice.muxing import PartMismatch
from encoder.splice.scan import ScannedTrack, Unspliceable
from encoder.splice.segments import Segment
from servicekit.errors import InvalidArgument

FILM, PART = "spliced.mp4", "run-{}.mp4"
MICROSECONDS = 1_000_000
NO_PIECE = "{why}, so that it cannot be made in pieces of which some frames are copied; set encode_all."


@dataclass(frozen=True)
class CaptionedFilm:
    """A film that is to be captioned: its source, its script, what draws captions on its pictures, the output, and the
    run that encodes all frames."""

    source: Source
    info: MediaInfo
    video: VideoStream
    script: str
    draw: Callable[[Any], Any]
    output: OutputSpec
    whole: FfmpegRun


@dataclass(frozen=True)
class SplicedRuns:
    """The runs that make a film, the name of the codec, how many frames are done before each of them, and what tells
    how much was encoded; see Plan. It `is_whole` where all frames are encoded. `frames` are those of the film, 0 where
    they are told elsewhere."""

    runs: tuple[FfmpegRun | Callable[[], FfmpegRun | None], ...]
    codec: str
    progress: tuple[int, ...] = ()
    extent: Callable[[], Extent] | None = None
    is_whole: bool = False
    frames: int = 0


def plan_runs(film: CaptionedFilm, context: PlanContext, why_whole: str = "") -> SplicedRuns:
    """Return the runs for a film: only what captions touch is encoded, where that is possible and of use, and
    `why_whole` says nothing against it."""
    try:
        _check(film.source, film.info, film.video, context, why_whole)
        _check_share(film.script, film.video)
        track = _scan(film, context)
        splice_codec.check_fit(context.codec, track.fit())
        laid_out = _lay_out(film, track)
    except Unspliceable as error:
        extent = Extent(whole_reason=str(error))
        return SplicedRuns((film.whole,), context.codec.name, extent=lambda: extent, is_whole=True)
    return _Splice(film, context, track.arranged(laid_out), laid_out).plan()


def plan_fit(source: Source, info: MediaInfo, video: VideoStream, script: str, context: PlanContext) -> TrackFit | None:
    """Return what the encoded frames of a film keep to where its pieces copy those that no caption touches, as far as
    its head tells; None where they do not."""
    if not isinstance(context.codec, X264):  # whether others keep to a fit is known once they made a run
        return None
    try:
        _check(source, info, video, context, "")
        _check_share(script, video)
        return scan.scan_head(source, info, video).fit
    except Unspliceable:
        return None


def plan_piece(film: CaptionedFilm, context: PlanContext, fit: TrackFit) -> SplicedRuns:
    """Return the runs for a piece of a film, whose file is by the clock of pieces: what captions touch of it is
    encoded, or all of it, in any case so that it is of one track with the other pieces. Raises InvalidArgument where
    that cannot be."""
    try:
        try:
            track, why_whole = scan.scan(film.source, film.info, film.video), ""
        except Unspliceable as error:
            track, why_whole = scan.scan(film.source, film.info, film.video, only_times=True), str(error)
    except Unspliceable as error:
        raise bad_input(film.source, NO_PIECE.format(why=error)) from error
    track = replace(track, begin=int(CLOCK_SECONDS / track.clock), planned=fit)
    spans = [(0.0, math.inf)] if why_whole else changes.shown_spans(film.script)
    found = segments.lay_out(segments.touched(spans, track.seconds), track.clean, track.exits)
    return _SplicedPiece(film, context, track, found, why_whole=why_whole).plan()


def _check(source: Source, info: MediaInfo, video: VideoStream, context: PlanContext, why_whole: str) -> None:
    """Raise Unspliceable where pictures that are copied would be other than those that are encoded, or for a reason."""
    if why_whole:
        raise Unspliceable(why_whole)
    splice_codec.check_format(context.codec)
    if info.is_cut_off or video.sizes:
        raise Unspliceable("it is cut off, or changes its size")
    if not filters.turns_by_quarters(video):
        raise Unspliceable("it is turned by its container, and not by quarters of a turn")
    if video.transfer or video.interlaced:
        raise Unspliceable("its pictures are interlaced or of high dynamic range, which results are not")


def _check_share(script: str, video: VideoStream) -> None:
    """Raise Unspliceable where captions alone take too much of a film; its packets need not be read then."""
    end = video.duration_seconds
    seconds = sum(max(min(until, end) - start, 0) for start, until in changes.shown_spans(script))
    if seconds > segments.MAX_SHARE * end > 0:
        raise Unspliceable(f"captions take {seconds:.1f} of {end:.1f} seconds, and so most of its frames")


def _scan(film: CaptionedFilm, context: PlanContext) -> ScannedTrack:
    if film.source.is_outline:
        raise Unspliceable("not all of the file is here yet")
    return scan.scan(film.source, film.info, film.video, context.codec.format)


def _lay_out(film: CaptionedFilm, track: ScannedTrack) -> tuple[Segment, ...]:
    spans = changes.shown_spans(film.script)
    found = segments.lay_out(segments.touched(spans, track.seconds), track.clean, track.exits)
    if why := segments.why_whole(found):
        raise Unspliceable(why)
    return found


@dataclass
class _Splice:
    """A film that is put together, with what came of it so far."""

    film: CaptionedFilm
    context: PlanContext
    track: ScannedTrack
    segments: Sequence[Segment]
    mismatch: str = ""
    why_whole: str = ""

    def plan(self) -> SplicedRuns:
        """Return the runs: one for each encoded segment, and the one that puts them together."""
        encoded = self._encoded
        copied = sum(segment.count for segment in self.segments) - sum(segment.count for segment in encoded)
        if not encoded:
            run = self._copy_run(self._given[str(self.film.video.index)])
            return SplicedRuns((run,), COPY, extent=lambda: Extent(copied))
        before = segments.frames_before(copied, [segment.count for segment in encoded])
        is_known = isinstance(self.context.codec, X264)
        parts = [self._part_run(*each) if is_known else partial(self._next_part, *each) for each in enumerate(encoded)]
        extent = lambda: Extent(0, self.mismatch) if self.mismatch else Extent(copied)  # noqa: E731
        return SplicedRuns((*parts, self._join), self.context.codec.name, (*before, -1), extent)

    @property
    def _encoded(self) -> list[Segment]:
        return [segment for segment in self.segments if segment.is_encoded]

    @property
    def _given(self) -> Any:
        return filters.open_input(self.film.source.path.name, self.film.info)

    def _next_part(self, number: int, segment: Segment) -> FfmpegRun | None:
        """Return the run that encodes a segment, of a codec that does not tell beforehand what it makes; None once the
        first run is not what was planned."""
        if number == 1:
            try:
                muxing.common_record([self._part(0)], self.track.parameters, self.track.fit())
            except PartMismatch as error:
                self.mismatch = str(error)
        return None if self.mismatch else self._part_run(number, segment)

    def _part(self, number: int) -> Source:
        return Source(self.film.source.field, self.context.folder / PART.format(number))

    def _part_run(self, number: int, segment: Segment) -> FfmpegRun:
        """Return the run that encodes a segment; it decodes from the picture before it on with which decoders begin."""
        film, track = self.film, self.track
        earliest = int(track.shown[segment.first : segment.end].min())
        begin = track.entry(segment.first, earliest)
        seconds = (min(int(track.shown[begin]), earliest) - track.start) * track.clock
        seek = {"ss": f"{math.floor(seconds * MICROSECONDS) / MICROSECONDS:.6f}"} if begin else {}
        given = filters.open_input(film.source.path.name, film.info, **seek)
        shown = given[str(film.video.index)].filter("trim", **dict(self._bounds(segment)))
        shown = shown.filter("setpts", f"PTS-({track.begin})")
        # Samples of full range stay so, as those are that are copied.
        as_stored = replace(film.video, color_tags=replace(film.video.color_tags, full_range=False))
        picture = film.draw(filters.normalize_picture({str(film.video.index): shown}, film.info, as_stored))
        frames = replace(self._stored_frames(picture, given), fit=track.fit())
        times: dict[str, Any] = {"copyts": None, "video_track_timescale": track.clock.denominator}
        output = self.context.output((), {"f": "mp4", **times})
        return self.context.codec.make_run(frames, replace(output, result=PART.format(number)))

    def _stored_frames(self, picture: Any, given: Any) -> FilteredFrames:
        """Return the frames of a picture as the file stores them: a turned one keeps what turns it, as do the packets
        that are copied."""
        video = self.film.video
        frames = filters.filtered_frames(filters.turned_back(picture, video), given, video, ())
        size = Size(video.width // 2 * 2, video.height // 2 * 2)
        return replace(frames, size=size, pixel_aspect=video.pixel_aspect, color_tags=video.color_tags)

    def _bounds(self, segment: Segment) -> Iterator[tuple[str, int]]:
        yield "start_pts", int(self.track.shown[segment.first : segment.end].min())
        if segment.end < len(self.track.shown):
            yield "end_pts", int(self.track.shown[segment.end :].min())

    def _join(self) -> FfmpegRun:
        """Put the film together, and return the run that adds its sound; or the one that encodes all frames, where runs
        are not what was planned."""
        film, path = self.film, self.context.folder / FILM
        parts = [self._part(number) for number in range(len(self._encoded))]
        try:
            if self.mismatch:
                return film.whole
            muxing.mux(film.source, film.info, film.video, self.track, self.segments, parts, path)
        except PartMismatch as error:
            self.mismatch = str(error)
            return film.whole
        finally:
            _delete(parts)
        offset = f"{self.track.seconds[0]:.6f}"
        spliced = ffmpeg.input(FILM, f=MP4_DEMUXER, protocol_whitelist="file,pipe", itsoffset=offset)
        return self._copy_run(spliced["v:0"])

    def _copy_run(self, pictures: Any) -> FfmpegRun:
        """Return the run that puts pictures and the sound of the source together. Tags and chapters are read of the
        source in any case."""
        film = self.film
        beside = () if film.output.audio else (self._given[str(film.video.index)],)
        return film.output.run(pictures, copy_video(film.video.codec), beside=beside)


class _SplicedPiece(_Splice):
    """A piece of a film that is put together: it always has the parameter sets of encoded runs, as other pieces do."""

    def plan(self) -> SplicedRuns:
        made = self._made
        copied = len(self.track.shown) - sum(segment.count for segment in self._encoded)
        before = segments.frames_before(copied, [segment.count for segment in made])
        runs = [self._part_run(*numbered) for numbered in enumerate(made)]
        extent = lambda: Extent(0, self.mismatch) if self.mismatch else Extent(copied, self.why_whole)  # noqa: E731
        ends = partial(spliced_piece.mend, self, len(self.track.shown)), partial(spliced_piece.finish, self)
        return SplicedRuns((*runs, *ends), self.context.codec.name, (*before, -1, -1), extent)

    @property
    def _made(self) -> list[Segment]:
        """The segments that are encoded; where there are none one frame is, for its parameter sets."""
        return self._encoded or [Segment(0, 1, is_encoded=True)]

    def encode_whole(self, whole: Segment) -> FfmpegRun:
        return self._part_run(0, whole)

    def write(self) -> FfmpegRun:
        spliced = ffmpeg.input(FILM, f=MP4_DEMUXER, protocol_whitelist="file,pipe", itsoffset=-CLOCK_SECONDS)
        return self._copy_run(spliced["v:0"])

    def refusal(self, error: PartMismatch) -> InvalidArgument:
        return bad_input(self.film.source, NO_PIECE.format(why=error))

    def assemble(self) -> None:
        film, path = self.film, self.context.folder / FILM
        parts = [self._part(number) for number in range(len(self._made))]
        try:
            muxing.mux(film.source, film.info, film.video, self.track, self.segments, parts, path, is_piece=True)
        finally:
            _delete(parts)


def _delete(parts: Sequence[Source]) -> None:
    for part in parts:
        part.path.unlink(missing_ok=True)

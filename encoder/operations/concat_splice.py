"""Joined videos of which those that have the result's shape are copied packet by packet, and the others encoded to
stand among them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from encoder.ffmpeg.command import COPY, FfmpegRun, TrackFit
from encoder.media.containers import MP4_DEMUXER
from encoder.media.info import ColorTags, Size, Source
from encoder.operations import splice_codec
from encoder.operations.caption_splice import SplicedRuns
from encoder.operations.concat_parts import Frame, Part, frame_counts
from encoder.operations.plan import Extent, PlanContext
from encoder.splice import assembling, scan, segments
from encoder.splice.assembling import EncodedRun, FilmShape, PacketStretch
from encoder.splice.bits import BadBitstream
from encoder.splice.h264 import DecoderRecord, SequenceParameters
from encoder.splice.muxing import PartMismatch
from encoder.splice.pictures import Times
from encoder.splice.scan import ScannedTrack, Unspliceable
from encoder.splice.segments import MIN_SAVED
from encoder.splice.shapes import check_shape

FILM, RUN = "joined.mp4", "run-{}.mp4"
EncodeParts = Callable[[Sequence[Part], Sequence[int], ColorTags, TrackFit, str], FfmpegRun]


@dataclass(frozen=True)
class JoinedParts:
    """Videos that are joined in a frame: the run that fits all of them into it; what makes the run of some of them, so
    many frames of each, with colors, a fit and the name of its file; and what puts pictures beside the sound. Of parts
    that agree it tells `why_not` all of them are copied, "" of others."""

    parts: Sequence[Part]
    frame: Frame
    whole: FfmpegRun
    encode: EncodeParts
    finish: Callable[[Any, str], FfmpegRun]
    why_not: str


@dataclass(frozen=True)
class FittingTracks:
    """The parts that are copied, by their numbers, and the parameter sets that they have together."""

    tracks: dict[int, ScannedTrack]
    record: DecoderRecord
    tags: ColorTags

    @property
    def frames(self) -> int:
        """How many frames are copied."""
        return sum(len(track.shown) for track in self.tracks.values())

    @property
    def clock(self) -> Fraction:
        """Seconds of a tick, of all of them."""
        return next(iter(self.tracks.values())).clock

    @property
    def parameters(self) -> SequenceParameters:
        """What any decoder of one of them can do."""
        told = [track.parameters for track in self.tracks.values()]
        return replace(
            told[0],
            profile=min(one.profile for one in told),
            level=min(one.level for one in told),
            references=min(one.references for one in told),
            is_high_tier=all(one.is_high_tier for one in told),
        )

    @property
    def fit(self) -> TrackFit:
        """What frames keep to that stand among them."""
        return scan.least_fit([track.fit() for track in self.tracks.values()], self.record)


def plan_runs(joined: JoinedParts, context: PlanContext) -> SplicedRuns:
    """Return the runs that join the parts: those that fit are copied, where that is possible and of use."""
    try:
        return _Joining(joined, context, _find_fitting(joined, context)).plan()
    except Unspliceable as error:
        extent = Extent(whole_reason=joined.why_not or str(error))
        return SplicedRuns((joined.whole,), context.codec.name, extent=lambda: extent, is_whole=True)


def _find_fitting(joined: JoinedParts, context: PlanContext) -> FittingTracks:
    """Return the parts that can stand in one track as they are, those with the most frames. Raises Unspliceable."""
    splice_codec.check_format(context.codec)
    found: list[FittingTracks] = []
    reasons: list[str] = []
    scanned: dict[Path, ScannedTrack | None] = {}  # a file may be given several times
    for number, part in enumerate(joined.parts):
        if part.source.path not in scanned:
            try:
                scanned[part.source.path] = _scan(part, joined.frame, context.codec.format)
            except Unspliceable as error:
                scanned[part.source.path] = None
                reasons.append(f"{part.source.field}: {error}")
        track = scanned[part.source.path]
        if track is None:
            continue
        for place, others in enumerate(found):
            if (both := _with(others, number, track, part)) is not None:
                found[place] = both
                break
        else:
            found.append(FittingTracks({number: track}, track.record, part.video.color_tags))
    if not found:
        raise Unspliceable(reasons[0])
    best = max(found, key=lambda one: one.frames)
    if best.frames < MIN_SAVED:
        raise Unspliceable("what could be copied is too short")
    try:
        fit = best.fit
    except BadBitstream as error:
        raise Unspliceable(str(error)) from error
    if len(best.tracks) < len(joined.parts):
        splice_codec.check_fit(context.codec, fit)
    return best


def _with(others: FittingTracks, number: int, track: ScannedTrack, part: Part) -> FittingTracks | None:
    """Return tracks with another one; None where it cannot stand among them."""
    record = scan.joined(others.record, track.record, track.form)
    if record is None or track.clock != others.clock or part.video.color_tags != others.tags:
        return None
    return replace(others, tracks={**others.tracks, number: track}, record=record)


def _scan(part: Part, frame: Frame, form: str) -> ScannedTrack:
    """Return the packets of a part that has the shape of the result. Raises Unspliceable."""
    video, info = part.video, part.info
    size = Size(frame.width, frame.height)
    check_shape(info, video, size, frame.rate)
    if part.source.is_outline:
        raise Unspliceable("not all of it is there")
    track = scan.scan(part.source, info, video, form)
    if track.places.drops:
        raise Unspliceable("behind other pictures decoders drop with its first one what was not shown yet")
    late = (int(track.shown.min()) - track.start) * track.clock - Fraction(part.start)
    if abs(late) * frame.rate > Fraction(1, 2):
        raise Unspliceable("its picture begins after its sound")
    return track


@dataclass(frozen=True)
class _Run:
    """Parts, from one number to another, that are encoded in one run of so many frames of each."""

    first: int
    end: int
    counts: Sequence[int]


class _Joining:
    """A film that is joined, with what came of it so far."""

    def __init__(self, joined: JoinedParts, context: PlanContext, fitting: FittingTracks) -> None:
        self._joined, self._context, self._fitting = joined, context, fitting
        ends = accumulate(Fraction(part.seconds) for part in joined.parts)
        # In ticks, so that no error adds up.
        self._begins = [0, *(round(end / fitting.clock) for end in ends)]
        self._runs = list(self._find_runs())
        self._mismatch = ""
        self._check_places()

    def _find_runs(self) -> Iterator[_Run]:
        parts, place = self._joined.parts, 0
        for is_copied, numbers in groupby(range(len(parts)), lambda number: number in self._fitting.tracks):
            count = len(list(numbers))
            if not is_copied:
                yield _Run(place, place + count, frame_counts(parts[place : place + count], self._joined.frame.rate))
            place += count

    def _check_places(self) -> None:
        """Raise Unspliceable where frames of one part would come after the next one has begun."""
        places = [(run.first, run.end, self._times(run)) for run in self._runs]
        places += [(number, number + 1, self._copied_times(number)) for number in self._fitting.tracks]
        for first, end, times in places:
            if times.max() >= self._begins[end]:
                raise Unspliceable(f"{self._joined.parts[first].source.field} has pictures behind its end")

    def plan(self) -> SplicedRuns:
        """Return the runs: one for each stretch of parts that do not fit, and the one that puts all together."""
        copied, fitting = self._fitting.frames, self._fitting
        encoded = [sum(run.counts) for run in self._runs]
        runs = [
            self._joined.encode(
                self._joined.parts[run.first : run.end], run.counts, fitting.tags, fitting.fit, RUN.format(number)
            )
            for number, run in enumerate(self._runs)
        ]
        name = self._context.codec.name if runs else COPY
        before, frames = segments.frames_before(copied, encoded), copied + sum(encoded)
        return SplicedRuns((*runs, self._join), name, (*before, -1), self._extent, frames=frames)

    def _extent(self) -> Extent:
        return Extent(0, self._mismatch) if self._mismatch else Extent(self._fitting.frames)

    def _join(self) -> FfmpegRun:
        """Put the film together, and return the run that adds the sound; or the one that encodes all frames, where runs
        are not what was planned."""
        fitting, stretches = self._fitting, self._stretches()
        usual = max(round(1 / (self._joined.frame.rate * fitting.clock)), 1)
        last = max(self._begins[-1] - int(stretches[-1].shown.max()), usual)
        shape = FilmShape(fitting.clock, fitting.record, fitting.parameters, fitting.fit)
        try:
            assembling.assemble(shape, stretches, last, self._context.folder / FILM)
        except PartMismatch as error:
            self._mismatch = str(error)
            return self._joined.whole
        pictures = ffmpeg.input(FILM, f=MP4_DEMUXER, protocol_whitelist="file,pipe")
        return self._joined.finish(pictures["v:0"], fitting.fit.form)

    def _stretches(self) -> list[PacketStretch | EncodedRun]:
        """Return the stretches of the film, in their order."""
        found: dict[int, PacketStretch | EncodedRun] = {}
        for number, run in enumerate(self._runs):
            field, path = self._joined.parts[run.first].source.field, self._context.folder / RUN.format(number)
            found[run.first] = EncodedRun(Source(field, path), self._times(run))
        for number in self._fitting.tracks:
            part, shown = self._joined.parts[number], self._copied_times(number)
            found[number] = PacketStretch(part.source, part.info.demuxer, part.video.index, 0, shown)
        return [found[number] for number in sorted(found)]

    def _copied_times(self, number: int) -> Times:
        shown = self._fitting.tracks[number].shown
        return shown - int(shown.min()) + self._begins[number]

    def _times(self, run: _Run) -> Times:
        step = 1 / (self._joined.frame.rate * self._fitting.clock)
        begin = self._begins[run.first]
        return np.array([begin + round(number * step) for number in range(sum(run.counts))], np.int64)

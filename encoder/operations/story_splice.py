"""The piece of a story of which the frames of a video are copied that fit the film as they are: from a keyframe of the
video on, where no caption and no transition touches them. The others are encoded to stand among them."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import ffmpeg
import numpy as np

from apigpu.encoder.v1 import story_pb2
from encoder.captions import changes
from encoder.ffmpeg.command import FfmpegRun, TrackFit
from encoder.media import probe
from encoder.media.containers import MP4_DEMUXER
from encoder.media.info import MediaInfo, Size, Source, VideoStream
from encoder.operations import spliced_piece, story_captions, story_codec, story_fit, story_scene
from encoder.operations.joining import unfit
from encoder.operations.plan import Extent, Plan, PlanContext, copy_video
from encoder.operations.story_scene import EncodedFrames, film_rate, timescale
from encoder.splice import assembling, h264, scan, segments
from encoder.splice.assembling import EncodedRun, FilmShape, PacketStretch
from encoder.splice.bits import BadBitstream
from encoder.splice.h264 import DecoderRecord
from encoder.splice.muxing import PartMismatch
from encoder.splice.pictures import Times
from encoder.splice.scan import ScannedTrack, Unspliceable
from encoder.splice.segments import MIN_COPIED, Segment
from servicekit.errors import InvalidArgument, ServiceError

FILM, RUN = "spliced.mp4", "run-{}.mp4"
FORMAT = "h264"
# Of times that are written as microseconds.
SAME_SECONDS = 1e-6
# In frames: by so much containers round the time of one.
SAME_FRAMES = 0.02
# Frames that a run decodes before the first one that it makes.
MAX_LEAD = 1000


@dataclass(frozen=True)
class ShownVideo:
    """The packets of a video that a piece shows: the first one of its frames, by its number among those of the file,
    and how many frames there are before the last is held, or the piece ends."""

    source: Source
    info: MediaInfo
    video: VideoStream
    track: ScannedTrack
    first: int
    count: int

    def seconds(self, frame: int) -> float:
        """Return when a frame of the piece is shown, from the first picture of the file on."""
        shown = np.sort(self.track.shown)
        return float((int(shown[self.first + frame]) - int(shown[0])) * self.track.clock)

    def entry(self, frame: int) -> int:
        """Return the frame with which a decoder is to begin for a frame of the piece: the IDR picture before it, by its
        number in the piece, negative where it is before that. Other keyframes may be whole some pictures later only."""
        return int(np.flatnonzero(self.track.exits[: self.first + frame + 1])[-1]) - self.first


def plan(part: story_pb2.ScenePart, context: PlanContext) -> Plan:
    """Plan a piece. Whatever of it is copied, it is of one track with the other pieces of the film. Raises
    InvalidArgument."""
    story_scene.check_frames(part)
    record, fit = _read_splice(part.splice)
    why_whole, video = "", None
    found: Sequence[Segment] = (Segment(0, part.frames, is_encoded=True),)
    if part.picture.is_video and not part.following:
        try:
            video = _find_video(part, context, record)
            found = _lay_out(part, context, video)
        except Unspliceable as error:
            why_whole = f"{part.picture.field}: {error}"
    return _SplicedScene(part, context, record, fit, video, found, why_whole).plan()


def _read_splice(given: story_pb2.SceneSplice) -> tuple[DecoderRecord, TrackFit]:
    fit = story_codec.read_fit(given.fit)
    try:
        record = h264.read_record(given.decoder_record)
        scan.parameters_of(record)
    except (BadBitstream, Unspliceable) as error:
        raise InvalidArgument("The part of the story has no parameter sets.", reason="BAD_PART") from error
    return record, fit


def _find_video(part: story_pb2.ScenePart, context: PlanContext, record: DecoderRecord) -> ShownVideo:
    """Return the frames that a piece shows of a video. Raises Unspliceable where they cannot be copied."""
    source, rate, picture = context.source(part.picture.field), film_rate(part.film), part.picture
    info, video = probe.probe_video(source)
    story_fit.check_fits(info, video, Size(part.film.width, part.film.height), rate)
    track = scan.scan(source, info, video)
    if not (set(track.record.sps) <= set(record.sps) and set(track.record.pps) <= set(record.pps)):
        raise Unspliceable("its parameter sets are not those of the frames that are copied")
    shown = np.sort(track.shown)
    seconds = (shown - shown[0]) * float(track.clock)
    frames = (seconds - picture.start) * float(rate)
    # Where a scene begins in the middle between two frames it is the later one, whatever way times are rounded.
    first = int(np.searchsorted(frames, picture.first - 0.5 - SAME_FRAMES))
    left = int(np.searchsorted(seconds, picture.end - SAME_SECONDS)) if picture.end else len(shown)
    count = min(left - first, part.frames)
    if count < 1 or frames[first] - picture.first > 0.5 + SAME_FRAMES:
        raise Unspliceable("it has no frame where the scene begins")
    found = ShownVideo(source, info, video, track, first, count)
    decoded = frames[first + found.entry(0) : first + count]
    if np.abs(decoded - decoded[0] - np.arange(len(decoded))).max() > story_fit.MAX_JITTER:
        raise Unspliceable("its frames do not come in the even steps of the film")
    return found


def _lay_out(part: story_pb2.ScenePart, context: PlanContext, video: ShownVideo) -> Sequence[Segment]:
    """Return which frames of a piece are copied. Raises Unspliceable where that is of no use."""
    count, track = part.frames, video.track
    entries, exits = np.ones(count, np.bool_), np.zeros(count, np.bool_)
    theirs = slice(video.first, video.first + video.count)
    entries[1 : video.count], exits[: video.count] = track.clean[theirs][1:], track.exits[theirs]
    touched = [] if exits[0] else [(0, 1)]
    # At the end of what is copied all pictures are shown that were decoded.
    last = min(video.count, count - part.transition_frames)
    whole = np.append(track.clean, True)[video.first : video.first + last + 1]
    end = int(np.flatnonzero(whole)[-1]) if whole.any() else 0
    if end < count:
        touched.append((end, count))
    if part.has_captions:
        seconds = np.arange(part.first_frame, part.first_frame + count) / float(film_rate(part.film))
        touched += segments.touched(_caption_spans(context), seconds)
    found = segments.lay_out(touched, entries, exits)
    if sum(segment.count for segment in found if not segment.is_encoded) < MIN_COPIED:
        raise Unspliceable("keyframes, captions and transitions leave too few frames that could be copied")
    begins = [min(segment.first, video.count - 1) for segment in found if segment.is_encoded]
    if any(begin - video.entry(begin) > MAX_LEAD for begin in begins):
        raise Unspliceable(f"its IDR pictures are more than {MAX_LEAD} frames apart")
    return found


def _caption_spans(context: PlanContext) -> list[tuple[float, float]]:
    name = story_captions.unpack(context.source(story_captions.FIELD), context.folder)
    return changes.shown_spans((context.folder / name).read_text(encoding="utf-8"))


@dataclass
class _SplicedScene:
    """A piece that is put together, with what came of it so far."""

    part: story_pb2.ScenePart
    context: PlanContext
    record: DecoderRecord
    fit: TrackFit
    video: ShownVideo | None
    segments: Sequence[Segment]
    why_whole: str
    mismatch: str = ""

    def plan(self) -> Plan:
        """Return the plan: a run for each encoded segment, and the one that writes all as a piece."""
        encoded = [segment for segment in self.segments if segment.is_encoded]
        copied = self.part.frames - sum(segment.count for segment in encoded)
        made = [self._encode(*numbered) for numbered in enumerate(self._made)]
        runs: list[FfmpegRun] = []
        progress: list[int] = []
        before = segments.frames_before(copied, [segment.count for segment in self._made])
        for one, done in zip(made, before, strict=True):
            runs += [*one.before, one.run]
            progress += [-1] * len(one.before) + [done]
        # What is told of the picture is told with each run of it.
        warnings = tuple({warning.SerializeToString(): warning for one in made for warning in one.warnings}.values())
        extent = lambda: Extent(0, self.mismatch) if self.mismatch else Extent(copied, self.why_whole)  # noqa: E731
        planned = story_scene.plan_of(self.part, self.context, warnings)
        ends = partial(spliced_piece.mend, self, self.part.frames), partial(spliced_piece.finish, self)
        return replace(planned, runs=(*runs, *ends), progress=(*progress, -1, -1), extent=extent)

    @property
    def _made(self) -> list[Segment]:
        """The segments that are encoded; where there are none one frame is, for its parameter sets."""
        return [one for one in self.segments if one.is_encoded] or [Segment(0, 1, is_encoded=True)]

    def _encode(self, number: int, segment: Segment) -> EncodedFrames:
        scale = {"f": "mp4", "video_track_timescale": timescale(film_rate(self.part.film))}
        output = replace(self.context.output((), scale), result=RUN.format(number))
        return story_scene.encode(self._part_of(segment), self.context, output, self.fit)

    def _part_of(self, segment: Segment) -> story_pb2.ScenePart:
        """Return a segment as a piece of its own. What it shows of a video begins with an IDR picture of that."""
        part = story_pb2.ScenePart()
        part.CopyFrom(self.part)
        if self.video is None:
            return part
        base = self.video.entry(min(segment.first, self.video.count - 1))
        part.picture.start, part.picture.first = self.video.seconds(base), segment.first - base
        part.first_frame, part.frames = part.first_frame + segment.first, segment.count
        if segment.end < self.part.frames:
            part.ClearField("transition_frames")
        return part

    def encode_whole(self, whole: Segment) -> FfmpegRun:
        self.video = None
        return self._encode(0, whole).run

    def write(self) -> FfmpegRun:
        pictures = ffmpeg.input(FILM, f=MP4_DEMUXER, protocol_whitelist="file,pipe")
        output = self.context.output((), story_scene.piece_options(self.part))
        return output.run(pictures["v:0"], copy_video(FORMAT))

    def refusal(self, error: PartMismatch) -> ServiceError:
        return unfit(self._run_file(0), str(error))

    def assemble(self) -> None:
        rate = film_rate(self.part.film)
        clock = Fraction(1, int(timescale(rate)))
        step = int(1 / rate / clock)
        shape = FilmShape(clock, self.record, scan.parameters_of(self.record), self.fit)
        stretches = list(self._stretches(step))
        assembling.assemble(shape, stretches, step, self.context.folder / FILM, self._run_file(0))

    def _run_file(self, number: int) -> Source:
        return Source(self.part.picture.field, self.context.folder / RUN.format(number))

    def _stretches(self, step: int) -> Iterator[PacketStretch | EncodedRun]:
        """Yield the stretches of the piece, in their order."""
        runs = itertools.count()
        for segment in self.segments:
            numbers: Times = np.arange(segment.first, segment.end, dtype=np.int64)
            if segment.is_encoded:
                yield EncodedRun(self._run_file(next(runs)), numbers * step)
                continue
            assert self.video is not None
            video, first = self.video, self.video.first + segment.first
            ranks = scan.ranks(video.track.shown[first : first + segment.count])
            yield PacketStretch(video.source, video.info.demuxer, video.video.index, first, numbers[ranks] * step)

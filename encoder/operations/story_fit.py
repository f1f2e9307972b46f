"""Which videos of a story fit the film as they are, so that frames of them are copied: found when it is planned, of
their heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from apigpu.encoder.v1 import story_pb2
from encoder.codecs.base import X264
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import TrackFit
from encoder.media import packet_index
from encoder.media.fragments import SEGMENT_SECONDS
from encoder.media.info import MediaInfo, Size, Source, VideoStream
from encoder.operations import story_codec
from encoder.operations.caption_split import longest_gop
from encoder.operations.plan import PlanContext
from encoder.operations.story_reading import StoryReading
from encoder.splice import scan
from encoder.splice.bits import BadBitstream
from encoder.splice.h264 import DecoderRecord
from encoder.splice.scan import ScannedHead, Unspliceable
from encoder.splice.segments import MIN_SAVED
from encoder.splice.shapes import check_shape
from encoder.story.timeline import Timeline

# In frames: the most by which one that is copied stands beside its place, as it takes the steps of the film. Rates that
# containers tell of even videos add less than a tenth of it (Matroska, whose clock is coarse).
MAX_JITTER = 0.25
# All other frames of the film are encoded to stand among those that are copied: these are to be worth it.
MIN_SHARE = 0.1
BT709 = 1
# Every piece is told the parameter sets, which are tens of bytes.
MAX_RECORD_BYTES = 1024
DRIFTS = "it has not {:g} frames a second, as the result has, but nearly so, which over its scene is too much"
TOO_LITTLE = "what could be copied of videos is {} of {} frames, too little"


@dataclass(frozen=True)
class _Group:
    """Videos that can stand in one track: their parameter sets, what frames among each of them keep to, and how many
    frames of the film they are."""

    record: DecoderRecord
    fits: tuple[TrackFit, ...]
    frames: float


def check_fits(info: MediaInfo, video: VideoStream, size: Size, rate: Fraction) -> None:
    """Raise Unspliceable for a video whose pictures are not as those of a film of this size and rate are."""
    check_shape(info, video, size, rate)
    if video.color_tags.matrix != BT709 and filters.color_matrix(video) != "bt709":
        raise Unspliceable("its colors are not those of HD video, as those of the film are")


def find(
    reading: StoryReading, timeline: Timeline, size: Size, context: PlanContext, spans: Sequence[tuple[float, float]]
) -> tuple[story_pb2.SceneSplice | None, str]:
    """Return what a film keeps to of which frames are copied; None where none are, and why, "" where none could be.
    `spans` are when captions are shown, in seconds."""
    reasons: list[str] = []
    groups: list[_Group] = []
    heads: dict[str, ScannedHead | None] = {}
    for number, scene in enumerate(reading.scenes):
        if scene.info is None or scene.info.video is None:
            continue
        source = context.source(scene.picture)
        if source.path.name not in heads:
            try:
                heads[source.path.name] = _read_head(source, scene.info, size, timeline.rate, context)
            except Unspliceable as error:
                heads[source.path.name] = None
                reasons.append(f"{scene.picture}: {error}")
        head = heads[source.path.name]
        if head is not None and _drift(scene.info.video, timeline, number) > MAX_JITTER:
            reasons.append(f"{scene.picture}: {DRIFTS.format(float(timeline.rate))}")
        elif head is not None:
            _put(groups, _Group(head.record, (head.fit,), _free_frames(timeline, number, spans)))
    best = max(groups, key=lambda group: group.frames, default=None)
    if best is None:
        return None, next(iter(reasons), "")
    if best.frames < max(MIN_SAVED, MIN_SHARE * timeline.frames):
        return None, TOO_LITTLE.format(round(best.frames), timeline.frames)
    record = best.record.to_bytes()
    if len(record) > MAX_RECORD_BYTES:
        return None, "the parameter sets of the videos are too long"
    try:
        fit = scan.least_fit(best.fits, best.record)
    except BadBitstream as error:
        return None, str(error)
    return story_pb2.SceneSplice(fit=story_codec.write_fit(fit), decoder_record=record), ""


def _drift(video: VideoStream, timeline: Timeline, scene: int) -> float:
    """Return by how many frames the last one of a scene stands beside its place, as the rate of its video tells."""
    return float(abs(video.frame_rate / timeline.rate - 1) * timeline.piece(scene)[1])


def _read_head(source: Source, info: MediaInfo, size: Size, rate: Fraction, context: PlanContext) -> ScannedHead:
    """Return the head of a video that fits a film. Raises Unspliceable."""
    video = info.video
    assert video is not None
    if not isinstance(context.codec, X264):
        raise Unspliceable(f"what the codec {context.codec.name} asks of decoders is not known before it made a piece")
    check_fits(info, video, size, rate)
    if context.is_watched:
        index = packet_index.read_index(source, info)
        if index is None or longest_gop(index) > SEGMENT_SECONDS:
            text = f"the film plays while it is made, and keyframes are more than {SEGMENT_SECONDS} s apart"
            raise Unspliceable(text)
    return scan.scan_head(source, info, video)


def _put(groups: list[_Group], other: _Group) -> None:
    """Add a video to those that it can stand among, or by itself."""
    for place, group in enumerate(groups):
        record = scan.joined(group.record, other.record)
        if record is not None:
            groups[place] = _Group(record, group.fits + other.fits, group.frames + other.frames)
            return
    groups.append(other)


def _free_frames(timeline: Timeline, scene: int, spans: Sequence[tuple[float, float]]) -> float:
    """Return how many frames of a scene no transition and no caption touches."""
    first, frames = timeline.piece(scene)
    end = first + frames - timeline.transition_frames(scene)
    begins, ends = float(first / timeline.rate), float(end / timeline.rate)
    shown = sum(max(min(until, ends) - max(start, begins), 0.0) for start, until in spans)
    return max(end - first - shown * float(timeline.rate), 0.0)

"""What the scenes of a story are made of: whether each picture and each sound can be used, and how long it is. Of large
inputs only the head and the tail have come (outlines), which is enough for most kinds of files."""

from dataclasses import dataclass
from fractions import Fraction

from apigpu.v1 import story_pb2, video_pb2
from encoder.media import packets, probe, stills
from encoder.media.containers import AUDIO_DEMUXERS, VIDEO_DEMUXERS
from encoder.media.facts import note_film
from encoder.media.info import MediaInfo, Source, bad_input
from encoder.media.outlines import OUTLINE_TOO_SMALL, outline_too_small, tells_length
from encoder.operations.plan import PlanContext
from encoder.story.timeline import SceneLength
from servicekit.errors import InvalidArgument, ServiceError
from servicekit.faults import Faults


@dataclass(frozen=True)
class SceneReading:
    """What a scene is made of: the field of its picture, seconds of its video from `start` on (0 of a still), and of
    its own narration (0 without one); whether its video is heard; its length, None where nothing tells it; and what
    its video is."""

    picture: str
    is_video: bool
    video_seconds: float
    voice_seconds: float
    is_heard: bool
    length: SceneLength | None
    info: MediaInfo | None = None


@dataclass(frozen=True)
class StoryReading:
    """The scenes of a story, and the seconds of the narration and the music of the whole; 0 where there is none."""

    scenes: tuple[SceneReading, ...]
    narration_seconds: float
    music_seconds: float


def read(request: video_pb2.StoryRequest, context: PlanContext) -> StoryReading:
    """Read what a story is made of. Raises one InvalidArgument for all that cannot be used."""
    faults = Faults()
    scenes = []
    for number, scene in enumerate(request.scenes):
        with faults.gathering(but=(OUTLINE_TOO_SMALL,)):
            scenes.append(_read_scene(f"scenes[{number}]", scene, context))
    seconds = {}
    for name in ("url_audio", "url_music"):
        seconds[name] = 0.0
        if getattr(request, name):
            with faults.gathering(but=(OUTLINE_TOO_SMALL,)):
                seconds[name] = sound_seconds(context.source(name))
    faults.check()
    return StoryReading(tuple(scenes), seconds["url_audio"], seconds["url_music"])


def _read_scene(name: str, scene: story_pb2.Scene, context: PlanContext) -> SceneReading:
    picture, video_seconds, is_heard, info = f"{name}.image_url", 0.0, False, None
    if scene.url_video:
        picture = f"{name}.url_video"
        info, whole = read_video(context.source(picture))
        video_seconds = _cut_seconds(name, scene, whole)
        is_heard = info.sound is not None and not scene.muted
    else:
        stills.check(context.source(picture))
    voice = sound_seconds(context.source(f"{name}.url_audio")) if scene.url_audio else 0.0
    length = _length(name, scene, video_seconds, voice)
    return SceneReading(picture, bool(scene.url_video), video_seconds, voice, is_heard, length, info)


def _cut_seconds(name: str, scene: story_pb2.Scene, whole: float) -> float:
    """Return the seconds of a video between its start and its end."""
    end = min(scene.end, whole) if scene.HasField("end") else whole
    if scene.HasField("end") and scene.end <= scene.start:
        raise InvalidArgument.field(f"{name}.end", f"it is not after start, {scene.start:g} s; give more.")
    if scene.start >= end:
        raise InvalidArgument.field(f"{name}.start", f"the video ends at {whole:.3f} s, before that; give less.")
    return end - scene.start


def _length(name: str, scene: story_pb2.Scene, video_seconds: float, voice_seconds: float) -> SceneLength | None:
    if scene.HasField("duracao"):
        return SceneLength(exact(scene.duracao))
    if scene.url_audio:
        return SceneLength(exact(voice_seconds) + exact(scene.pause), is_between=True)
    begin, end = getattr(scene, "from"), scene.to
    if scene.HasField("from") or scene.HasField("to"):
        if not (scene.HasField("from") and scene.HasField("to")) or end <= begin:
            raise InvalidArgument.field(f"{name}.to", "from and to go together, and to is the later one; give both.")
        return SceneLength(exact(end) - exact(begin), is_between=True)
    return SceneLength(exact(video_seconds)) if scene.url_video else None


def exact(seconds: float) -> Fraction:
    """Return seconds to the microsecond."""
    return Fraction(round(seconds * 1_000_000), 1_000_000)


def read_video(source: Source) -> tuple[MediaInfo, float]:
    """Return what a video is, and its seconds, as far as it has come. Raises InvalidArgument, FailedPrecondition with
    OUTLINE_TOO_SMALL."""
    if not source.is_outline:
        info, video = probe.probe_video(source)
        if not video.decodes:
            raise bad_input(source, "its beginning cannot be decoded; convert it to H.264 with AAC first.")
        return info, packets.end_seconds(source, info, video) - packets.start_seconds(source, info, video)
    info = _read_outline(source, VIDEO_DEMUXERS)
    if info.video is None or not info.video.decodes or not info.video.duration_seconds:
        raise outline_too_small(source)
    note_film(source, info, info.video)
    return info, info.video.duration_seconds


def sound_seconds(source: Source) -> float:
    """Return the seconds of a sound, as far as it has come. Raises as `read_video` does."""
    if not source.is_outline:
        info, audio = probe.probe_audio(source)
        return packets.end_seconds(source, info, audio)
    info = _read_outline(source, AUDIO_DEMUXERS)
    if info.sound is None or not info.sound.duration_seconds:
        raise outline_too_small(source)
    note_film(source, info, info.sound)
    return info.sound.duration_seconds


def _read_outline(source: Source, demuxers: tuple[str, ...]) -> MediaInfo:
    try:
        info = probe.probe(source, demuxers)
    except ServiceError as error:
        raise outline_too_small(source) from error
    if not tells_length(source, info):
        raise outline_too_small(source)
    return info

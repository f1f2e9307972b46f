"""story: scenes, narration, captions and music as one film. The task of the operation itself only plans: it reads how
long everything is, lays the scenes out, and answers with the tasks that make the film."""

from collections.abc import Sequence
from fractions import Fraction

from apigpu.encoder.v1 import story_pb2 as parts_pb2
from apigpu.v1 import story_pb2, video_pb2
from encoder.audio import soundtrack
from encoder.audio.soundtrack import NamedSeconds
from encoder.media.info import Size
from encoder.operations import img2vid, story_captions, story_fit, story_notes, story_reading, story_tasks
from encoder.operations.deviations import gather
from encoder.operations.plan import Plan, PlanContext
from encoder.operations.story_reading import StoryReading
from encoder.operations.story_tasks import TaskWriter
from encoder.story import pieces
from encoder.story.timeline import SceneLength, Timeline, find_faults, lay_out
from encoder.story.transitions import CUT
from servicekit.errors import InvalidArgument
from servicekit.faults import Faults

FRAME_RATE = 24.0
TRANSITION_SECONDS = 0.5
CANVASES = {
    story_pb2.CANVAS_UNSPECIFIED: Size(1920, 1080),
    story_pb2.CANVAS_16_9: Size(1920, 1080),
    story_pb2.CANVAS_9_16: Size(1080, 1920),
    story_pb2.CANVAS_1_1: Size(1080, 1080),
    story_pb2.CANVAS_4_5: Size(1080, 1350),
}
MIN_SCENE_SECONDS = Fraction(1, 10)
# Options of a soundtrack that concern the music alone.
MUSIC_OPTIONS = ("mix", "gain", "duck", "loop", "start", "delay")
NO_LENGTH = (
    "nothing says how long it is to be seen; give duracao, a narration of its own (url_audio), from and to in that of "
    "the story, or a narration of the whole story (url_audio), of which such scenes share what is left."
)
TOO_LITTLE_LEFT = (
    "of the narration of the story {:.3f} s are left for {} scenes whose length nothing says; give them duracao, or "
    "the others less."
)


def plan(request: video_pb2.StoryRequest, context: PlanContext) -> Plan:
    """Plan a story: answer with a task for each scene, one for the sound, and one that joins what they make. Raises one
    InvalidArgument for all that is wrong with the scenes."""
    size = _size(request)
    background = img2vid.check_background(request.background)
    reading = story_reading.read(request, context)
    transitions = [_transition(request, scene) for scene in request.scenes]
    timeline = _lay_out(request, reading, transitions)
    _check_soundtrack(request, reading, float(timeline.seconds))
    captions = story_captions.make(request, context, size, timeline.rate, float(timeline.seconds))
    film = parts_pb2.Film(
        width=size.width,
        height=size.height,
        rate_frames=timeline.rate.numerator,
        rate_seconds=timeline.rate.denominator,
        frames=timeline.frames,
    )
    stills = [not scene.is_video for scene in reading.scenes]
    cut = pieces.cut_at_most(timeline, stills, context.workers, is_watched=context.is_watched)
    if context.workers and not context.is_watched:
        cut = pieces.group(timeline, cut, stills, context.workers * context.lanes)
    spans = story_captions.spans(context) if captions is not None else []
    splice, why_whole = story_fit.find(reading, timeline, size, context, spans)
    given = (request, reading, transitions, timeline, film, background, captions is not None, context.codec, cut)
    return Plan(
        runs=(),
        field="scenes",
        codec="",
        duration_seconds=float(timeline.seconds),
        frames_total=timeline.frames,
        warnings=(*(captions or ()), *gather(story_notes.notes(request, reading, timeline))),
        content_type=story_captions.TYPE if captions is not None else "",
        further=tuple(TaskWriter(*given, context.is_watched, splice, why_whole).tasks()),
        size=size,
        scenes=tuple(
            story_pb2.SceneSpan(
                id=name, start=float(place.start / timeline.rate), end=float(place.stop / timeline.rate)
            )
            for name, place in zip(story_tasks.names(request), timeline.places, strict=True)
        ),
    )


def _size(request: video_pb2.StoryRequest) -> Size:
    named = CANVASES[request.canvas]
    return img2vid.check_clip_size(Size(request.width or named.width, request.height or named.height))


def _transition(request: video_pb2.StoryRequest, scene: story_pb2.Scene) -> story_pb2.Transition:
    """Return the transition after a scene; where nobody asks for one it is a cut."""
    if scene.HasField("transition"):
        return scene.transition
    return request.transition if request.HasField("transition") else story_pb2.Transition(kind=CUT)


def _seconds(transition: story_pb2.Transition) -> Fraction:
    if transition.kind == CUT:
        return Fraction(0)
    return story_reading.exact(transition.seconds if transition.HasField("seconds") else TRANSITION_SECONDS)


def _lay_out(
    request: video_pb2.StoryRequest, reading: StoryReading, transitions: Sequence[story_pb2.Transition]
) -> Timeline:
    """Return the timeline. Raises InvalidArgument for scenes that cannot be laid out."""
    rate = Fraction(request.frame_rate if request.HasField("frame_rate") else FRAME_RATE).limit_denominator(1001)
    between = [_seconds(transition) for transition in transitions[:-1]]
    faults = Faults()
    lengths = _lengths(reading, between, faults)
    faults.check()
    for fault in find_faults(lengths, between, rate):
        scene = request.scenes[fault.scene]
        is_own = not fault.field or scene.HasField("transition")
        name = f"scenes[{fault.scene}]" + (f".{fault.field}" if fault.field and is_own else "")
        text = fault.text if is_own else f"the transition after it: {fault.text}"
        faults.add(InvalidArgument.field(name, text))
    faults.check()
    return lay_out(lengths, between, rate)


def _lengths(reading: StoryReading, between: Sequence[Fraction], faults: Faults) -> list[SceneLength]:
    """Return the length of each scene; those that nothing is said of share what is left of the narration."""
    untold = [number for number, scene in enumerate(reading.scenes) if scene.length is None]
    if untold and not reading.narration_seconds:
        for number in untold:
            faults.add(InvalidArgument.field(f"scenes[{number}].duracao", NO_LENGTH))
        return []
    left = story_reading.exact(reading.narration_seconds)
    for number, scene in enumerate(reading.scenes):
        if scene.length is not None:
            halves = sum(between[max(number - 1, 0) : number + 1], Fraction(0)) / 2
            left -= scene.length.seconds - (0 if scene.length.is_between else halves)
    share = left / max(len(untold), 1)
    if untold and share < MIN_SCENE_SECONDS:
        for number in untold:
            text = TOO_LITTLE_LEFT.format(float(max(left, Fraction(0))), len(untold))
            faults.add(InvalidArgument.field(f"scenes[{number}].duracao", text))
    return [scene.length or SceneLength(share, is_between=True) for scene in reading.scenes]


def _check_soundtrack(request: video_pb2.StoryRequest, reading: StoryReading, seconds: float) -> None:
    """Raise InvalidArgument for options of the music that contradict each other, the music or the film."""
    for name in MUSIC_OPTIONS:
        if getattr(request.soundtrack, name) and not request.url_music:
            text = "it concerns the music, and there is none; give url_music too."
            raise InvalidArgument.field(f"soundtrack.{name}", text)
    film = NamedSeconds("film", seconds)
    soundtrack.check_times(request.soundtrack, NamedSeconds("music", reading.music_seconds), film, film)

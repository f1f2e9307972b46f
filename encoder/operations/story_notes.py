"""What a story has otherwise than was asked for, or lacks: told as warnings when it is planned."""

from collections.abc import Iterator

from apigpu.v1 import story_pb2, video_pb2
from encoder.operations.deviations import Note
from encoder.operations.story_reading import StoryReading
from encoder.story.timeline import Timeline
from encoder.story.transitions import CUT, MOVING

# What is cut off of a narration without that anybody would miss it: the last frame of an audio codec, say.
SPARE_SECONDS = 0.1
# Options of a soundtrack that concern all of what is heard.
SOUND_OPTIONS = ("original_gain", "fade_in", "fade_out", "loudness")


def notes(request: video_pb2.StoryRequest, reading: StoryReading, timeline: Timeline) -> Iterator[Note]:
    """Yield what the film lacks of what was given, or has otherwise."""
    yield from _ignored(request, reading)
    rate = timeline.rate
    for number, (scene, read) in enumerate(zip(request.scenes, reading.scenes, strict=True)):
        place, name = timeline.places[number], f"scenes[{number}]"
        shown = float((place.end - place.begin) / rate)
        if read.is_video and shown > read.video_seconds + 1 / float(rate):
            text = (
                f"the video lasts {read.video_seconds:.3f} s, and its scene {shown:.3f} s: its last picture stands "
                "still for the rest. Give a longer video, or a shorter scene."
            )
            yield Note("SCENE_HELD", f"{name}.url_video", text, {"seconds": f"{shown - read.video_seconds:.3f}"})
        said = float((place.stop - place.start) / rate)
        if read.voice_seconds > said + SPARE_SECONDS:
            yield _narration_cut(f"{name}.url_audio", "scene", read.voice_seconds, said)
        off = float(place.start / rate) - getattr(scene, "from")
        if scene.HasField("from") and abs(off) > 1 / float(rate):
            text = (
                f"the scene is seen from {float(place.start / rate):.3f} s on, not from the second of the narration "
                "that it is for; have the scenes before it end there."
            )
            yield Note("SCENE_OFF_NARRATION", f"{name}.from", text, {"seconds": f"{off:.3f}"})
    is_alone = not (request.url_audio or any(scene.is_heard or scene.voice_seconds for scene in reading.scenes))
    if is_alone and (request.soundtrack.duck or request.soundtrack.original_gain):
        name = "duck" if request.soundtrack.duck else "original_gain"
        text = "the story has no sound beside its music, which is heard alone."
        yield Note("NO_ORIGINAL_AUDIO", f"soundtrack.{name}", text)
    if reading.narration_seconds > float(timeline.seconds) + SPARE_SECONDS:
        yield _narration_cut("url_audio", "film", reading.narration_seconds, float(timeline.seconds))


def _narration_cut(name: str, what: str, seconds: float, heard: float) -> Note:
    text = (
        f"the narration lasts {seconds:.3f} s and the {what} {heard:.3f} s: what is behind that is not heard. Make the "
        f"{what} longer."
    )
    return Note("NARRATION_CUT", name, text, {"seconds": f"{seconds - heard:.3f}"})


def _ignored(request: video_pb2.StoryRequest, reading: StoryReading) -> Iterator[Note]:
    """Yield the options that change nothing in this story."""
    *others, last = request.scenes
    for number, scene in enumerate(request.scenes):
        if scene.HasField("transition"):
            yield from _of_transition(f"scenes[{number}].transition", scene.transition, is_seen=scene is not last)
    if request.HasField("transition"):
        is_seen = not all(scene.HasField("transition") for scene in others)
        yield from _of_transition("transition", request.transition, is_seen=is_seen)
    is_said = bool(request.url_audio) or any(scene.voice_seconds for scene in reading.scenes)
    if request.narration_gain and not is_said:
        yield _note_ignored("narration_gain", "the story has no narration")
    if not (is_said or request.url_music or any(scene.is_heard for scene in reading.scenes)):
        given = {field.name for field, _ in request.soundtrack.ListFields()}
        for name in SOUND_OPTIONS:
            if name in given:
                yield _note_ignored(f"soundtrack.{name}", "the story has no sound")


def _of_transition(name: str, transition: story_pb2.Transition, *, is_seen: bool) -> Iterator[Note]:
    if not is_seen:
        if transition.kind != CUT:
            yield _note_ignored(name, "no scene comes after it that it could lead to")
        return
    if transition.direction and transition.kind not in MOVING:
        yield _note_ignored(f"{name}.direction", "of transitions only slide and wipe have one")
    if transition.HasField("seconds") and transition.kind == CUT:
        yield _note_ignored(f"{name}.seconds", "a cut takes no time")


def _note_ignored(name: str, why: str) -> Note:
    return Note("OPTION_IGNORED", name, f"{why}: it changes nothing; leave it out.", {})

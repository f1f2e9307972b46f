"""Parts of films with one value that no encoder of this version writes: each is planned, or refused as a bad part; what
it is never comes out as a fault of the encoder."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from apigpu.encoder.v1 import encoder_pb2, story_pb2
from apigpu.v1 import story_pb2 as public_pb2
from encoder.operations import STORY_PARTS, caption, story
from encoder.operations.plan import check_options
from servicekit.errors import ServiceError
from tests.integration.encoder.test_spliced_pieces import USUAL, context
from tests.support import media, split_films, stories
from tests.support.carrying_out import run_all
from tests.support.stories import scene

WHOLE = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32)
FRACTIONS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


def values(field: FieldDescriptor) -> list[Any]:
    if field.cpp_type in WHOLE:
        return [0, 2**32 - 1] if field.cpp_type == FieldDescriptor.CPPTYPE_UINT32 else [0, -1, 2**31 - 1]
    if field.cpp_type in FRACTIONS:
        return [-1.0, 1e18, math.nan]
    return []


def changed(message: Message) -> Iterator[tuple[str, Message]]:
    """The message, with one of its numbers changed, or one of its messages left out."""
    for field, value in message.ListFields():
        if field.message_type is not None and not field.is_repeated:
            without = type(message)()
            without.CopyFrom(message)
            without.ClearField(field.name)
            yield f"no {field.name}", without
            for name, inner in changed(value):
                other = type(message)()
                other.CopyFrom(message)
                getattr(other, field.name).CopyFrom(inner)
                yield f"{field.name}.{name}", other
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            continue
        for value in values(field):
            other = type(message)()
            other.CopyFrom(message)
            setattr(other, field.name, value)
            yield f"{field.name}={value}", other


def made_parts(folder: Path) -> Iterator[tuple[story_pb2.StoryPart, dict[str, Path]]]:
    """Parts of each kind, with their inputs."""
    talk = media.video(folder / "talk.mp4", 4, "160x90", 25, True, *USUAL)
    still, music = media.image(folder / "still.png"), media.tone(folder / "music.wav")
    words = media.srt(folder / "words.srt", [(0.5, 1, "Words")])
    fade = public_pb2.Transition(kind=public_pb2.TRANSITION_KIND_CROSSFADE, seconds=0.4)
    for name, size in (("spliced", (160, 90)), ("encoded", (320, 180))):
        shape = {"width": size[0], "height": size[1], "frame_rate": 25, "url_srt": words, "url_music": music}
        scenes = [scene(talk), scene(still, duracao=1, transition=fade), scene(still, duracao=1)]
        request, files = stories.request_of(scenes, **shape)
        place = context(folder / name, files)
        plan = story.plan(request, place)
        run_all(plan, place.folder)
        pieces = {"pieces[0]": talk, "pieces[1]": talk, "sound": talk}
        for task in plan.further:
            part = story_pb2.StoryPart.FromString(task.part)
            yield part, pieces if task.is_result else {**files, "captions": Path(place.result)}
    film = split_films.write_film(folder / "film.mp4", 61)
    text = split_films.subtitles(25)
    (folder / "film.srt").write_text(text)
    place = context(folder / "caption", {"url_video": film, "srt_text": folder / "film.srt"}, workers=3)
    plan = caption.plan(split_films.request(text).caption, place)
    run_all(plan, place.folder)
    further = split_films.without_own_indexes(encoder_pb2.Summary(further=plan.further)).further
    for task in (further[0], further[-1]):
        yield story_pb2.StoryPart.FromString(task.part), {"url_video": film, "captions": Path(place.result), **pieces}


def test_a_part_with_a_number_that_cannot_be_is_planned_or_refused(tmp_path: Path) -> None:
    faults: dict[str, str] = {}
    tried: set[str] = set()
    for part, inputs in made_parts(tmp_path):
        kind = part.WhichOneof("kind") or ""
        for name, other in changed(getattr(part, kind)):
            key = f"{kind}: {name}"
            if key in tried:
                continue
            tried.add(key)
            place = context(tmp_path / f"place{len(tried)}", inputs)
            try:
                check_options(other)
                STORY_PARTS[kind](other, place)
            except ServiceError:
                pass
            except Exception as error:
                faults[key] = repr(error)
    assert faults == {}
    kinds = {key.partition(":")[0] for key in tried}
    assert kinds >= {"scene", "spliced_scene", "sound", "join", "caption_piece", "caption_join"}

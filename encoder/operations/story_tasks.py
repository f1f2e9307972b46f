"""The tasks that a story goes on with, as its planning writes them: one for each scene, the sound, the joining."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from apigpu.encoder.v1 import encoder_pb2
from apigpu.encoder.v1 import story_pb2 as parts_pb2
from apigpu.v1 import story_pb2, video_pb2
from encoder.codecs.base import Codec
from encoder.media.fragments import SEGMENT_SECONDS
from encoder.operations import story_captions, story_codec, story_join
from encoder.operations.joining import PIECES
from encoder.operations.plan import is_streamable
from encoder.operations.story_reading import StoryReading
from encoder.story import heads
from encoder.story.pieces import ScenePiece
from encoder.story.timeline import Timeline


def names(request: video_pb2.StoryRequest) -> list[str]:
    """Return the id of each scene: its place, from 1, where it has none."""
    return [scene.id or str(number) for number, scene in enumerate(request.scenes, 1)]


@dataclass(frozen=True)
class TaskWriter:
    """Writes the tasks that a story goes on with."""

    request: video_pb2.StoryRequest
    reading: StoryReading
    transitions: Sequence[story_pb2.Transition]
    timeline: Timeline
    film: parts_pb2.Film
    background: str
    has_captions: bool
    codec: Codec
    pieces: Sequence[ScenePiece]
    is_watched: bool
    splice: parts_pb2.SceneSplice | None = None
    why_whole: str = ""

    def tasks(self) -> Iterator[encoder_pb2.FurtherTask]:
        """Yield the tasks in the order in which they are to be done: the pieces, among them the sound where there is
        any, as soon as whoever watches is to hear it; the joining."""
        sounds = list(zip(self._sound_places(), self._sound_tasks(), strict=False))
        order = list(sounds)
        order += [(number, self._scene_task(piece)) for number, piece in enumerate(self.pieces)]
        order.sort(key=lambda placed: placed[0])  # which leaves sound before the piece of its place
        yield from (task for _, task in order)
        kinds = [task.plays for _, task in order]
        pieces = [number for number, kind in enumerate(kinds) if kind == encoder_pb2.PLAYS_PICTURE]
        yield self._join_task(pieces, max(set(range(len(kinds))) - set(pieces), default=None))

    def _sound_places(self) -> list[int]:
        """Return how many pieces come before each of the tasks of the sound."""
        if not self.is_watched:
            return [1]
        ends = [float((piece.first + piece.frames_total) / self.timeline.rate) for piece in self.pieces]
        return heads.places(self.heads, ends)

    @cached_property
    def heads(self) -> list[float]:
        """The lengths of the heads of the sound, seconds: none where nobody watches, or where its loudness is given,
        for which the whole is measured."""
        if not self.is_watched or self.request.soundtrack.HasField("loudness"):
            return []
        found = heads.head_seconds(float(self.timeline.seconds))
        return [seconds for seconds in found if _is_heard(self._head(seconds))]

    def _sound_tasks(self) -> list[encoder_pb2.FurtherTask]:
        """Return the tasks of the sound: its heads, and the whole; none for a silent film."""
        if not _is_heard(self.sound):
            return []
        made = [self._sound_task(self._head(seconds), f"sound, first {seconds:g} s") for seconds in self.heads]
        return [*made, self._sound_task(self.sound, "sound")]

    def _sound_task(self, part: parts_pb2.SoundPart, item: str) -> encoder_pb2.FurtherTask:
        fields = [*filter(None, (part.narration, part.music)), *dict.fromkeys(one.field for one in part.sounds)]
        return encoder_pb2.FurtherTask(
            part=parts_pb2.StoryPart(sound=part).SerializeToString(),
            inputs=[_source_input(name) for name in fields],
            item=item,
            kind="story.sound",
            plays=encoder_pb2.PLAYS_SOUND,
            target_seconds=SEGMENT_SECONDS,
        )

    def _head(self, seconds: float) -> parts_pb2.SoundPart:
        """Return a head of the sound, with what is heard in it."""
        head = parts_pb2.SoundPart()
        head.CopyFrom(self.sound)
        head.head_frames = round(seconds * self.timeline.rate)
        del head.sounds[:]
        head.sounds.extend(sound for sound in self.sound.sounds if sound.begin < head.head_frames)
        return head

    @cached_property
    def names(self) -> list[str]:
        """The id of each scene."""
        return names(self.request)

    @cached_property
    def only_stills(self) -> bool:
        """True where the whole film is made of stills."""
        return not any(scene.is_video for scene in self.reading.scenes)

    def _scene_task(self, piece: ScenePiece) -> encoder_pb2.FurtherTask:
        scene = self._scene_part(piece)
        fields = [scene.picture.field, *(still.picture.field for still in scene.following)]
        fields += [scene.next.field] if scene.transition_frames else []
        part = parts_pb2.StoryPart(reel=scene) if piece.following else parts_pb2.StoryPart(scene=scene)
        if self.splice is not None:
            part = parts_pb2.StoryPart(spliced_scene=scene)
        inputs = [_source_input(name) for name in fields]
        if self.has_captions:
            inputs.append(encoder_pb2.FurtherInput(field=story_captions.FIELD, planned=True))
        return encoder_pb2.FurtherTask(
            part=part.SerializeToString(),
            inputs=inputs,
            item=self._item(piece),
            # Of what is copied a frame takes next to no time.
            kind="story.splice" if self.splice is not None and scene.picture.is_video else "story.scene",
            codec=self.codec.name,
            frames=scene.frames,
            plays=encoder_pb2.PLAYS_PICTURE,
            target_seconds=max(SEGMENT_SECONDS, math.ceil(1 / self.timeline.rate)),
        )

    def _item(self, piece: ScenePiece) -> str:
        """Return what people know a piece by."""
        if piece.following:
            return f"scenes {self.names[piece.scene]} to {self.names[piece.following[-1].scene]}"
        return f"scene {self.names[piece.scene]}" + (f", part {piece.number + 1}" if piece.number else "")

    def _scene_part(self, piece: ScenePiece) -> parts_pb2.ScenePart:
        number, last = piece.scene, piece.shots[-1]
        part = parts_pb2.ScenePart(
            film=self.film,
            first_frame=piece.first,
            frames=piece.frames_total,
            picture=self._picture(number, piece.first - self.timeline.places[number].begin),
            has_captions=self.has_captions,
            allow_partial=self.request.allow_partial,
            only_stills=self.only_stills,
            splice=self.splice,
            whole_reason=self.why_whole,
        )
        story_codec.write(self.codec, part)
        for before, shot in pairwise(piece.shots):
            led = self.timeline.transition_frames(before.scene)
            part.following.add(
                picture=self._picture(shot.scene, 0),
                frames=led + shot.frames,
                transition=self.transitions[before.scene],
                transition_frames=led,
            )
        transition_frames = self.timeline.transition_frames(last.scene)
        if last.is_last and transition_frames:
            part.transition.CopyFrom(self.transitions[last.scene])
            part.transition_frames = transition_frames
            part.next.CopyFrom(self._picture(last.scene + 1, 0))
        return part

    def _picture(self, number: int, first: int) -> parts_pb2.ScenePicture:
        scene, read, place = self.request.scenes[number], self.reading.scenes[number], self.timeline.places[number]
        picture = parts_pb2.ScenePicture(
            field=read.picture,
            first=first,
            frames=place.end - place.begin,
            is_video=read.is_video,
            fit=scene.fit if scene.HasField("fit") else self.request.fit,
            background=self.background if self.request.background else "",
        )
        if read.is_video:
            picture.start, picture.end = scene.start, scene.end
        else:
            picture.motion.CopyFrom(scene.motion if scene.HasField("motion") else self.request.motion)
        return picture

    @cached_property
    def sound(self) -> parts_pb2.SoundPart:
        """The sound of the whole film."""
        request = self.request
        part = parts_pb2.SoundPart(
            film=self.film,
            narration="url_audio" if request.url_audio else "",
            music="url_music" if request.url_music else "",
            narration_gain=request.narration_gain,
            soundtrack=request.soundtrack,
            allow_partial=request.allow_partial,
        )
        for number, read in enumerate(self.reading.scenes):
            if read.is_heard:
                part.sounds.append(self._video_sound(number))
            if read.voice_seconds:
                place = self.timeline.places[number]
                part.sounds.add(
                    field=f"scenes[{number}].url_audio",
                    begin=place.start,
                    end=place.stop,
                    gain=request.narration_gain,
                    is_voice=True,
                )
        return part

    def _video_sound(self, number: int) -> parts_pb2.SceneSound:
        scene, place, timeline = self.request.scenes[number], self.timeline.places[number], self.timeline
        return parts_pb2.SceneSound(
            field=self.reading.scenes[number].picture,
            begin=place.begin,
            end=place.end,
            fade_in=timeline.transition_frames(number - 1) if number else 0,
            fade_out=timeline.transition_frames(number),
            gain=scene.gain,
            start=scene.start,
            seconds=self.reading.scenes[number].video_seconds,
        )

    def _join_task(self, pieces: Sequence[int], sound: int | None) -> encoder_pb2.FurtherTask:
        """Return the task that joins the results of others, by their numbers."""
        part = parts_pb2.JoinPart(film=self.film, has_sound=sound is not None, container=self.request.container)
        part.pieces.extend(piece.frames_total for piece in self.pieces)
        inputs = [
            encoder_pb2.FurtherInput(field=f"{PIECES}[{number}]", task=task) for number, task in enumerate(pieces)
        ]
        if sound is not None:
            inputs.append(encoder_pb2.FurtherInput(field=story_join.SOUND, task=sound))
        return encoder_pb2.FurtherTask(
            part=parts_pb2.StoryPart(join=part).SerializeToString(),
            inputs=inputs,
            is_result=True,
            item="film",
            kind="story.join",
            composes=not is_streamable(self.request),
        )


def _is_heard(part: parts_pb2.SoundPart) -> bool:
    return bool(part.narration or part.music or part.sounds)


def _source_input(name: str) -> encoder_pb2.FurtherInput:
    return encoder_pb2.FurtherInput(field=name, request_field=name)

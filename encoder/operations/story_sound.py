"""The sound of a story, mixed to one file: narrations, what is heard of videos, music."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from apigpu.encoder.v1 import story_pb2
from encoder.audio import mixing, soundtrack, tracks
from encoder.audio.soundtrack import SoundtrackSpec
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun
from encoder.media import fragments, packets, probe
from encoder.media.info import AudioStream, MediaInfo, Source
from encoder.operations.deviations import Note, cut_off_notes, gather, mix_notes, sound_choice_notes
from encoder.operations.plan import Plan, PlanContext
from encoder.operations.story_scene import film_rate
from encoder.story import lanes
from encoder.story.fitting import SEEKABLE
from encoder.story.lanes import LaneSound

STATS = "loudness.json"
TYPE = "audio/mp4"
LIST, STRETCH_NAME = "lane{}.ffconcat", "lane{}-{}.w64"
QUEUED_PACKETS = 8
# Sounds that one FFmpeg reads at once: each takes threads of its own, and some of the length of a command line. Lanes
# of more are made in stretches.
MAX_TOGETHER = 24
STRETCH = {"f": "w64", "c:a": "pcm_f32le"}
# Of what is left out at the start of a video, all but so many seconds is not read.
LEAD_SECONDS = 2.0


@dataclass(frozen=True)
class Heard:
    """A sound: its input, the track that is heard, and where in its file it begins to be, in seconds. `number` is
    another one for each sound."""

    number: int
    source: Source
    info: MediaInfo
    audio: AudioStream
    start: float = 0.0

    @property
    def end(self) -> float:
        """Seconds from the start of the file to the end of the sound."""
        return packets.end_seconds(self.source, self.info, self.audio)

    def open(self) -> Any:
        """Return the sound as a stream in the common format, from where it begins to be heard."""
        sought = self.start - LEAD_SECONDS if self.info.demuxer in SEEKABLE else 0.0
        options: dict[str, Any] = {"ss": f"{sought:.6f}"} if sought > 0 and not self.info.is_cut_off else {}
        left = self.start - sought if options else self.start
        # Inputs that are alike in all would count as one: each has a queue of another length.
        options |= {"thread_queue_size": QUEUED_PACKETS + self.number}
        given = filters.open_input(self.source.path.name, self.info, **options)
        return soundtrack.from_start(mixing.mix_down(given[str(self.audio.index)], self.audio), left)


Placed = tuple[story_pb2.SceneSound, Heard]
"""A sound of a scene: where it is heard, and what."""


@dataclass(frozen=True)
class Stretch:
    """A part of a lane, from one sample to another."""

    sounds: Sequence[Placed]
    begin: int
    end: int


@dataclass(frozen=True)
class Mix:
    """All that is heard: sounds of scenes, the narration, the music; None where there is none."""

    part: story_pb2.SoundPart
    scenes: Sequence[Heard]
    narration: Heard | None
    music: Heard | None

    @property
    def rate(self) -> Fraction:
        """Frames a second of the film."""
        return film_rate(self.part.film)

    @property
    def film_seconds(self) -> float:
        """Length of the film."""
        return self._sample(self.part.film.frames) / soundtrack.RATE

    @property
    def samples(self) -> int:
        """Length of what is made: the film, or a head of it."""
        return self._sample(self.part.head_frames or self.part.film.frames)

    def open(self) -> Any:
        """Return the mix as a stream, once the stretches are made; anew for each run, as a graph is used but once."""
        options, seconds = self.part.soundtrack, self.film_seconds
        spoken = lanes.mix(list(self._open_lanes())) if self.scenes or self.narration else None
        if self.music is None:
            mixed = soundtrack.finish(spoken, SoundtrackSpec(options, seconds, 0.0))
        else:
            spec = SoundtrackSpec(options, seconds, self.music.end - options.start)
            mixed = soundtrack.mix(self.music.open(), spoken, spec)
        return lanes.to_length(mixed, self.samples)

    def stretch_runs(self, context: PlanContext) -> Iterator[FfmpegRun]:
        """Yield the runs that make the stretches of long lanes."""
        for number, lane in enumerate(self._lanes()):
            for name, stretch in self._stretches(number, lane):
                output = replace(context.output((), STRETCH), result=name)
                yield output.run(self._lay(stretch.sounds, stretch.begin, stretch.end - stretch.begin), {})

    def write_lists(self, folder: Path) -> None:
        """Write the lists by which FFmpeg reads the stretches."""
        for number, lane in enumerate(self._lanes()):
            if stretches := self._stretches(number, lane):
                names = "".join(f"file {name}\n" for name, _ in stretches)
                (folder / LIST.format(number)).write_text(f"ffconcat version 1.0\n{names}")

    def _lanes(self) -> list[Sequence[Placed]]:
        """Return the sounds of scenes by lanes, in which none overlap: of videos' each does with the next one alone."""
        placed = list(zip(self.part.sounds, self.scenes, strict=True))
        voices = [one for one in placed if one[0].is_voice]
        videos = [one for one in placed if not one[0].is_voice]
        return [lane for lane in (voices, videos[::2], videos[1::2]) if lane]

    def _stretches(self, number: int, lane: Sequence[Placed]) -> list[tuple[str, "Stretch"]]:
        """Return the stretches that a lane is made in, each by the name of its file; none where it is short."""
        if len(lane) <= MAX_TOGETHER:
            return []
        groups = [lane[first : first + MAX_TOGETHER] for first in range(0, len(lane), MAX_TOGETHER)]
        begins = [0, *(self._sample(group[0][0].begin) for group in groups[1:]), self.samples]
        stretches = itertools.starmap(Stretch, zip(groups, begins, begins[1:], strict=False))
        return [(STRETCH_NAME.format(number, place), stretch) for place, stretch in enumerate(stretches)]

    def _open_lanes(self) -> Iterator[Any]:
        if self.narration is not None:
            yield lanes.to_length(_louder(self.narration.open(), self.part.narration_gain), self.samples)
        for number, lane in enumerate(self._lanes()):
            if not self._stretches(number, lane):
                yield self._lay(lane, 0, self.samples)
                continue
            options = {"format_whitelist": "concat,w64", "protocol_whitelist": "file,pipe"}
            listed = ffmpeg.input(LIST.format(number), f="concat", safe=1, **options)["a:0"]
            # By the clock of the list the stretches are a sample apart, or over each other.
            yield lanes.to_length(listed.filter("asetpts", "N").filter("aformat", **soundtrack.COMMON), self.samples)

    def _lay(self, lane: Sequence[Placed], begin: int, length: int) -> Any:
        return lanes.lay([self._laid(*one, begin) for one in lane], length)

    def _sample(self, frame: int) -> int:
        return lanes.samples_at(frame, self.rate)

    def _laid(self, sound: story_pb2.SceneSound, heard: Heard, begins_at: int) -> LaneSound:
        begin, faded_in, faded_out, end = (
            self._sample(frame) - begins_at
            for frame in (sound.begin, sound.begin + sound.fade_in, sound.end - sound.fade_out, sound.end)
        )
        stream = heard.open()
        if sound.seconds:
            stream = stream.filter("atrim", end=f"{sound.seconds:.6f}")
        return LaneSound(_louder(stream, sound.gain), begin, end, faded_in - begin, end - faded_out)


def plan(part: story_pb2.SoundPart, context: PlanContext) -> Plan:
    """Plan the mix, to the sample as long as the film."""
    scenes = [_read(number, context, one.field, one) for number, one in enumerate(part.sounds, 2)]
    narration = _read(0, context, part.narration) if part.narration else None
    music = _read(1, context, part.music) if part.music else None
    mix = Mix(part, scenes, narration, music)
    is_measured = part.soundtrack.HasField("loudness")

    def measuring_run() -> FfmpegRun:
        return context.output((), {"f": "null"}).run(soundtrack.measure(mix.open(), STATS), {})

    def making_run() -> FfmpegRun:
        track = mix.open()
        if is_measured:
            track = soundtrack.apply_gain(track, soundtrack.gain_for(context.folder / STATS, part.soundtrack.loudness))
        return context.output((), fragments.SOUND).run(track, dict(tracks.AAC))

    mix.write_lists(context.folder)
    heard = [one for one in (narration, music, *scenes) if one is not None]
    return Plan(
        runs=(*mix.stretch_runs(context), *((measuring_run(), making_run) if is_measured else (making_run(),))),
        field=heard[0].source.field,
        codec="",
        duration_seconds=mix.samples / soundtrack.RATE,
        frames_total=0,
        warnings=gather(note for one in heard for note in _notes(one)),
        content_type=TYPE,
        plays=True,
        is_head=bool(part.head_frames),
    )


def _read(number: int, context: PlanContext, field: str, sound: story_pb2.SceneSound | None = None) -> Heard:
    source = context.source(field)
    info, audio = probe.probe_audio(source)
    if sound is None or sound.is_voice or info.video is None:
        return Heard(number, source, info, audio)
    # A video begins with its first picture.
    return Heard(number, source, info, audio, packets.start_seconds(source, info, info.video) + sound.start)


def _louder(stream: Any, gain: float) -> Any:
    return stream.filter("volume", f"{gain}dB") if gain else stream


def _notes(heard: Heard) -> Iterator[Note]:
    """Yield what of a sound is left out, or heard otherwise than it is."""
    if heard.info.video is None:  # of a video its scene tells
        yield from cut_off_notes(heard.source, heard.info, heard.audio.duration_seconds)
    yield from sound_choice_notes(heard.source, heard.info, "heard")
    yield from mix_notes(heard.source, heard.audio)

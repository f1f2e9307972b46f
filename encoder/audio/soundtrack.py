"""Soundtracks: filter graphs of audio. Pure functions from streams of ffmpeg-python to streams.

Everything is brought to stereo at 48 kHz first, so that what is mixed fits together and AAC can hold it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from apigpu.v1 import soundtrack_pb2
from servicekit.errors import InvalidArgument

Message = soundtrack_pb2.Soundtrack

RATE = 48_000
COMMON = {"sample_fmts": "fltp", "sample_rates": str(RATE), "channel_layouts": "stereo"}
# Speech at −20 dBFS and louder takes about 12 dB off the music, in 20 ms; in its pauses that comes back in 400 ms.
DUCK = {"threshold": 0.03, "ratio": 8, "attack": 20, "release": 400}
# EBU R 128 and the streaming services ask for −1 dBTP; samples are held lower, as peaks between them are higher.
PEAK = {"limit": 10 ** (-1.5 / 20), "level": 0, "latency": 1}
# What the loudness filter calls silence.
SILENT_LUFS = -70.0
MIN_LOOP_SECONDS = 0.1


@dataclass(frozen=True)
class SoundtrackSpec:
    """A requested soundtrack: the options, seconds of the result, and of the music from `start` to its end."""

    options: Message
    seconds: float
    music_seconds: float


@dataclass(frozen=True)
class NamedSeconds:
    """How long something is, and what errors call it."""

    name: str
    seconds: float


def check_times(options: Message, music: NamedSeconds, picture: NamedSeconds, result: NamedSeconds) -> None:
    """Raise InvalidArgument for times that contradict each other, the music or what it is put on."""
    wrong = InvalidArgument.field
    if options.start and options.start >= music.seconds:
        text = f"the {music.name} ends at {music.seconds:.3f} s, before that; give less."
        raise wrong("soundtrack.start", text)
    if options.delay and options.delay >= picture.seconds:
        text = f"the {picture.name} ends at {picture.seconds:.3f} s, before that; give less."
        raise wrong("soundtrack.delay", text)
    if options.loop and music.seconds - options.start < MIN_LOOP_SECONDS:
        text = f"less than {MIN_LOOP_SECONDS:g} s of {music.name} are left to repeat; give more."
        raise wrong("soundtrack.loop", text)
    if options.fade_in + options.fade_out > result.seconds:
        text = f"the fades are longer than the {result.name}, {result.seconds:.3f} s; make them shorter."
        raise wrong("soundtrack.fade_out", text)


def mix(music: Any, original: Any | None, spec: SoundtrackSpec) -> Any:
    """Return the soundtrack of `spec.seconds`: the music, and the video's own sound where that is given."""
    track = _prepare_music(music, spec)
    if original is not None:
        track = _overlay(track, _prepare_original(original, spec), spec.options)
    return _fade(track, spec)


def finish(original: Any, spec: SoundtrackSpec) -> Any:
    """Return sound of `spec.seconds` that no music is mixed with, as `mix` would have it: its gain, peaks and fades."""
    return _fade(_prepare_original(original, spec).filter("alimiter", **PEAK), spec)


def measure(sound: Any, stats: str) -> Any:
    """Return the sound through a meter that writes its loudness to the file `stats`, as JSON."""
    return sound.filter("loudnorm", print_format="json", stats_file=stats)


def gain_for(stats: Path, loudness: float) -> float:
    """Return the gain in dB that brings measured sound to `loudness` LUFS; 0 for silence."""
    measured = float(json.loads(stats.read_text())["input_i"])
    return loudness - measured if measured > SILENT_LUFS else 0.0


def apply_gain(sound: Any, gain_db: float) -> Any:
    """Return the sound louder by `gain_db`, its peaks held below −1 dBTP."""
    return sound.filter("volume", f"{gain_db:.3f}dB").filter("alimiter", **PEAK)


def _prepare_music(music: Any, spec: SoundtrackSpec) -> Any:
    options = spec.options
    track = from_start(music).filter("atrim", start=options.start).filter("asetpts", "PTS-STARTPTS")
    if options.loop:
        track = track.filter("aloop", loop=-1, size=round((spec.music_seconds + 1) * RATE))
    if options.gain:
        track = track.filter("volume", f"{options.gain}dB")
    if options.delay:  # whose silence comes without times
        track = track.filter("adelay", delays=f"{options.delay * 1000:.3f}", all=1).filter("asetpts", "N")
    return to_length(track, spec.seconds)


def _prepare_original(original: Any, spec: SoundtrackSpec) -> Any:
    track = from_start(original)
    if spec.options.original_gain:
        track = track.filter("volume", f"{spec.options.original_gain}dB")
    return to_length(track, spec.seconds)


def from_start(sound: Any, seconds: float = 0.0) -> Any:
    """Return the sound without a gap, from where its file begins, or so many seconds later."""
    # What begins late has its first sample later, and no sample before it: that is filled with silence.
    whole = sound.filter("aformat", **COMMON).filter("aresample", **{"async": 1, "first_pts": 0})
    return whole.filter("atrim", start=f"{seconds:.6f}").filter("asetpts", "PTS-STARTPTS") if seconds else whole


def silence(seconds: float) -> Any:
    """Return silence of a length, in the common format."""
    return ffmpeg.input(f"anullsrc=r={RATE}:cl=stereo:d={seconds:.6f}", f="lavfi").filter("aformat", **COMMON)


def to_length(track: Any, seconds: float) -> Any:
    """Return the sound for so many seconds, with silence where it is shorter."""
    return track.filter("apad", whole_dur=f"{seconds:.6f}s").filter("atrim", end=f"{seconds:.6f}")


def _overlay(music: Any, original: Any, options: Message) -> Any:
    if options.duck:
        parts = original.filter_multi_output("asplit")
        original, key = parts[0], parts[1]
        music = ffmpeg.filter([music, key], "sidechaincompress", **DUCK)
    mixed = ffmpeg.filter([original, music], "amix", inputs=2, duration="first", normalize=0)
    return mixed.filter("alimiter", **PEAK)


def _fade(track: Any, spec: SoundtrackSpec) -> Any:
    options = spec.options
    if options.fade_in:
        track = track.filter("afade", t="in", st=0, d=options.fade_in)
    if options.fade_out:
        start = max(spec.seconds - options.fade_out, 0)
        track = track.filter("afade", t="out", st=f"{start:.6f}", d=options.fade_out)
    return track

"""Soundtracks: filter graphs of what is heard. Pure functions from streams of ffmpeg-python to streams.

Everything is brought to stereo at 48 kHz first, so that what is mixed fits together and AAC can hold it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from apigpu.v1 import soundtrack_pb2

Message = soundtrack_pb2.Soundtrack

RATE = 48_000
COMMON = {"sample_fmts": "fltp", "sample_rates": str(RATE), "channel_layouts": "stereo"}
# Speech at −20 dBFS and louder takes about 12 dB off the music, in 20 ms; in its pauses that comes back in 400 ms.
DUCK = {"threshold": 0.03, "ratio": 8, "attack": 20, "release": 400}
# EBU R 128 and the streaming services ask for −1 dBTP; samples are held lower, as peaks between them are higher.
PEAK = {"limit": 10 ** (-1.5 / 20), "level": 0, "latency": 1}
# What the loudness filter calls silence.
SILENT_LUFS = -70.0


@dataclass(frozen=True)
class Wanted:
    """How the sound is to be: the options, seconds of the result, and of the music from `start` to its end."""

    options: Message
    seconds: float
    music_seconds: float


def mixed(music: Any, original: Any | None, wanted: Wanted) -> Any:
    """What is heard for `wanted.seconds`: the music, and the video's own sound where that is given."""
    scored = _music(music, wanted)
    if original is not None:
        scored = _together(scored, _original(original, wanted), wanted.options)
    return _faded(scored, wanted)


def measured(sound: Any, stats: str) -> Any:
    """The sound through a meter that writes its loudness to the file `stats`, as JSON."""
    return sound.filter("loudnorm", print_format="json", stats_file=stats)


def gain_for(stats: Path, loudness: float) -> float:
    """Gain in dB that brings measured sound to `loudness` LUFS; 0 for silence."""
    heard = float(json.loads(stats.read_text())["input_i"])
    return loudness - heard if heard > SILENT_LUFS else 0.0


def at_gain(sound: Any, gain: float) -> Any:
    """The sound louder by `gain` dB, its peaks held below −1 dBTP."""
    return sound.filter("volume", f"{gain:.3f}dB").filter("alimiter", **PEAK)


def _music(music: Any, wanted: Wanted) -> Any:
    options = wanted.options
    heard = from_start(music).filter("atrim", start=options.start).filter("asetpts", "PTS-STARTPTS")
    if options.loop:
        heard = heard.filter("aloop", loop=-1, size=round((wanted.music_seconds + 1) * RATE))
    if options.gain:
        heard = heard.filter("volume", f"{options.gain}dB")
    if options.delay:  # whose silence comes without times
        heard = heard.filter("adelay", delays=f"{options.delay * 1000:.3f}", all=1).filter("asetpts", "N")
    return of_length(heard, wanted.seconds)


def _original(original: Any, wanted: Wanted) -> Any:
    heard = from_start(original)
    if wanted.options.original_gain:
        heard = heard.filter("volume", f"{wanted.options.original_gain}dB")
    return of_length(heard, wanted.seconds)


def from_start(sound: Any, seconds: float = 0.0) -> Any:
    """Return the sound without a gap, from where its file begins, or so many seconds later."""
    # What begins late has its first sample later, and no sample before it: that is filled with silence.
    whole = sound.filter("aformat", **COMMON).filter("aresample", **{"async": 1, "first_pts": 0})
    return whole.filter("atrim", start=f"{seconds:.6f}").filter("asetpts", "PTS-STARTPTS") if seconds else whole


def silence(seconds: float) -> Any:
    """Return silence of a length, as the other sounds are."""
    return ffmpeg.input(f"anullsrc=r={RATE}:cl=stereo:d={seconds:.6f}", f="lavfi").filter("aformat", **COMMON)


def of_length(heard: Any, seconds: float) -> Any:
    """Return the sound for so many seconds, with silence where it is shorter."""
    return heard.filter("apad", whole_dur=f"{seconds:.6f}s").filter("atrim", end=f"{seconds:.6f}")


def _together(music: Any, original: Any, options: Message) -> Any:
    if options.duck:
        parts = original.filter_multi_output("asplit")
        original, key = parts[0], parts[1]
        music = _pair("sidechaincompress", music, key, DUCK)
    mix = _pair("amix", original, music, {"inputs": 2, "duration": "first", "normalize": 0})
    return mix.filter("alimiter", **PEAK)


def _pair(name: str, one: Any, other: Any, options: dict[str, Any]) -> Any:
    return ffmpeg.filter([one, other], name, **options)


def _faded(heard: Any, wanted: Wanted) -> Any:
    options = wanted.options
    if options.fade_in:
        heard = heard.filter("afade", t="in", st=0, d=options.fade_in)
    if options.fade_out:
        start = max(wanted.seconds - options.fade_out, 0)
        heard = heard.filter("afade", t="out", st=f"{start:.6f}", d=options.fade_out)
    return heard

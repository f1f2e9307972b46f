"""Lanes of sound: sounds that follow each other, each at its place in the film, to the sample. Pure functions from
streams of ffmpeg-python to streams, all in the common format of soundtracks."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ffmpeg

from encoder.audio.soundtrack import RATE

# Of sounds that have nothing to do with each other the powers add up.
EQUAL_POWER = "qsin"


@dataclass(frozen=True)
class LaneSound:
    """A sound, and where in the film it is heard and fades, in samples. It may end before that."""

    stream: Any
    begin: int
    end: int
    fade_in: int = 0
    fade_out: int = 0


def samples_at(frame: int, rate: Fraction) -> int:
    """Return the number of the sample that is heard when a frame begins to be seen."""
    return round(frame / rate * RATE)


def lay(sounds: Sequence[LaneSound], length: int) -> Any:
    """Return a lane of `length` samples in which sounds that do not overlap are heard, in their order."""
    ends = (0, *(sound.end for sound in sounds))
    laid = [_placed(sound, sound.begin - end) for sound, end in zip(sounds, ends, strict=False)]
    return to_length(ffmpeg.concat(*laid, v=0, a=1) if len(laid) > 1 else laid[0], length)


def mix(lanes: Sequence[Any]) -> Any:
    """Return lanes together, as loud as they are."""
    if len(lanes) == 1:
        return lanes[0]
    return ffmpeg.filter(list(lanes), "amix", inputs=len(lanes), duration="first", normalize=0)


def to_length(stream: Any, samples: int) -> Any:
    """Return so many samples of a sound, with silence where it is shorter."""
    return stream.filter("apad", whole_len=samples).filter("atrim", end_sample=samples)


def _placed(sound: LaneSound, gap: int) -> Any:
    length = sound.end - sound.begin
    heard = to_length(sound.stream, length)
    if sound.fade_in:
        heard = heard.filter("afade", type="in", start_sample=0, nb_samples=sound.fade_in, curve=EQUAL_POWER)
    if sound.fade_out:
        start = length - sound.fade_out
        heard = heard.filter("afade", type="out", start_sample=start, nb_samples=sound.fade_out, curve=EQUAL_POWER)
    if gap:  # whose silence comes without times
        heard = heard.filter("adelay", delays=f"{gap}S", all=1).filter("asetpts", "N")
    return heard

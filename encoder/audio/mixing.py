"""Mixing channels down: layouts that AAC cannot carry, or that nobody named, become stereo.

FFmpeg's own mixer drops the channels that it has no place for (the rear ones above, wide ones, all of 22.2 but eight)
without a word, and takes no layout without names. Here every channel is heard. Source of the factors: ITU-R BS.775-4,
annex 4; what it does not name is taken as what stands nearest to it.
"""

import math
from typing import Any

from encoder.media.info import AudioStream

# What AAC carries as it is, and what FFmpeg's own mixer knows whole. Up to eight channels that have no names are taken
# for those of the usual layout of that number, as players do.
CARRIED = frozenset(
    {
        *(f"{count} channels" for count in range(1, 9)),
        *("mono", "stereo", "2.1", "3.0", "3.0(back)", "3.1", "4.0", "4.1", "quad", "quad(side)", "5.0", "5.0(side)"),
        *("5.1", "5.1(side)", "6.0", "6.0(front)", "6.1", "6.1(back)", "6.1(front)", "hexagonal", "7.0", "7.0(front)"),
        *("7.1", "7.1(wide)", "7.1(wide-side)", "octagonal"),
    }
)
STEREO = 2
FULL, BESIDE, FAR = 1.0, math.sqrt(0.5), 0.5
LEFT = {"FL": FULL, "DL": FULL, "BIL": FULL} | dict.fromkeys(("FLC", "SL", "BL", "WL", "SDL", "SSL"), BESIDE)
LEFT |= dict.fromkeys(("TFL", "TSL", "TBL", "TTL", "BFL"), FAR)
CENTER = {"FC": BESIDE} | dict.fromkeys(("BC", "TC", "TFC", "TBC", "BFC", "LFE", "LFE2"), FAR)
# The sum may be louder than full scale: its peaks are held.
LIMITER = {"limit": "0.97", "level": "0", "latency": "1"}


def needs_mixing(stream: AudioStream) -> bool:
    """Return True if a stream has channels that AAC cannot carry."""
    return bool(stream.channels) and stream.layout not in CARRIED


def mix_down(sound: Any, stream: AudioStream) -> Any:
    """Return a stream of ffmpeg-python with channels that can be mixed further, and that AAC carries."""
    if not needs_mixing(stream):
        return sound
    return sound.filter("pan", args=_pan(stream)).filter("alimiter", **LIMITER)


def mixing_filters(stream: AudioStream) -> str:
    """Return filters that do so with the only input of an output, in the form of FFmpeg's command line."""
    limiter = ":".join(f"{name}={value}" for name, value in LIMITER.items())
    return f"pan={_pan(stream)},alimiter={limiter}"


def _pan(stream: AudioStream) -> str:
    """Return the options of the filter `pan` that make a stream stereo: every channel is heard, on the side where it
    stands. Channels without names take turns, left and right, as pairs of a recorder do."""
    if stream.channels == 1:
        return "mono|c0=c0"
    factors = [_factors(name, number, stream.channels) for number, name in enumerate(stream.places)]
    left, right = (
        "+".join(f"{factor[side]:.4f}*c{number}" for number, factor in enumerate(factors) if factor[side]) or "0*c0"
        for side in (0, 1)
    )
    return f"stereo|c0={left}|c1={right}"


def _factors(name: str, number: int, channels: int) -> tuple[float, float]:
    """Return how loud a channel is at the left and at the right."""
    if name in LEFT:
        return LEFT[name], 0.0
    if name in CENTER:
        return CENTER[name], CENTER[name]
    mirrored = _mirrored(name)
    if mirrored in LEFT:
        return 0.0, LEFT[mirrored]
    # As many voices at once are as much louder as the root of their number.
    factor = 1 / math.sqrt(max(channels / 2, 1))
    return (0.0, factor) if number % 2 else (factor, 0.0)


def _mirrored(name: str) -> str:
    """Return the name of the channel on the other side of one at the right: "FRC" of "FLC"."""
    return name.replace("R", "L", 1)

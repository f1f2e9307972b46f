"""Transitions between scenes of which at least one is a video: filter graphs that lead from the pictures of the one to
those of the next. Pure functions from streams of ffmpeg-python to streams. Two stills have their own: blends.

Frame k of a transition of n shows as much of it as the time says at which the frame begins: k / n of the next scene. So
the frame in the middle, with which the next scene starts, is half of each, or black.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ffmpeg

from apigpu.v1 import story_pb2
from apigpu.v1.story_pb2 import Transition

# What the filter xfade calls them; a direction is where what moves goes.
DIRECTIONS: Mapping[int, str] = {
    Transition.DIRECTION_UNSPECIFIED: "left",
    Transition.DIRECTION_LEFT: "left",
    Transition.DIRECTION_RIGHT: "right",
    Transition.DIRECTION_UP: "up",
    Transition.DIRECTION_DOWN: "down",
}
MOVING: Mapping[int, str] = {
    story_pb2.TRANSITION_KIND_SLIDE: "slide",
    story_pb2.TRANSITION_KIND_WIPE: "wipe",
}
CUT = story_pb2.TRANSITION_KIND_CUT
# Half of one frame cannot be shown.
MIN_FADE_FRAMES = 2


@dataclass(frozen=True)
class Passage:
    """A transition in a stretch of film at `rate`: it begins after `before` frames, goes on for `frames`, and ends with
    the stretch."""

    transition: Transition
    before: int
    frames: int
    rate: Fraction


def blend(one: Any, other: Any, passage: Passage) -> Any:
    """Return the stretch: `one` has all of its frames, `other` those of the transition; both at the rate, from 0."""
    kind = passage.transition.kind
    if kind == story_pb2.TRANSITION_KIND_FADE_BLACK and passage.frames >= MIN_FADE_FRAMES:
        return _fade_through_black(one, other, passage)
    if not passage.before:
        return _crossed(one, other, passage)
    # The filter takes no other colors than those of each pixel (4:4:4): frames before the transition pass by it.
    parts = one.filter_multi_output("split", 2)
    alone = parts[0].filter("trim", end_frame=passage.before)
    late = parts[1].filter("trim", start_frame=passage.before).filter("setpts", "PTS-STARTPTS")
    return _in_turn(alone, _crossed(late, other, passage), passage.rate)


def _crossed(one: Any, other: Any, passage: Passage) -> Any:
    """Return the frames of the transition alone, of streams that begin with it."""
    kind = passage.transition.kind
    name = MOVING[kind] + DIRECTIONS[passage.transition.direction] if kind in MOVING else "fade"
    seconds = f"{float(passage.frames / passage.rate):.6f}"
    return ffmpeg.filter([one, other], "xfade", transition=name, duration=seconds).filter("format", "yuv420p")


def _fade_through_black(one: Any, other: Any, passage: Passage) -> Any:
    before, half = passage.before, passage.frames // 2
    dark = one.filter("fade", type="out", start_frame=before, nb_frames=half).filter("trim", end_frame=before + half)
    bright = other.filter("trim", start_frame=half).filter("setpts", "PTS-STARTPTS")
    bright = bright.filter("fade", type="in", start_frame=0, nb_frames=passage.frames - half)
    return _in_turn(dark, bright, passage.rate)


def _in_turn(one: Any, other: Any, rate: Fraction) -> Any:
    """Return one stream after the other, frame by frame: the filter concat does not know how long one of a single frame
    lasts, and begins the next at the same time."""
    joined = ffmpeg.concat(one, other, v=1, a=0).filter("settb", f"{rate.denominator}/{rate.numerator}")
    return at_rate(joined.filter("setpts", "N"), rate)


def at_rate(stream: Any, rate: Fraction) -> Any:
    """Return frames at a rate by the clock of it, as filters that meet two streams want them."""
    return stream.filter("fps", str(rate)).filter("settb", f"{rate.denominator}/{rate.numerator}")

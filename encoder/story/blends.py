"""Transitions between stills, whose frames are at hand: blended here, in yuv420p as they are. FFmpeg's filter for that
takes the color of each pixel alone (4:4:4), to which all frames of a scene would be converted, and back: a sixth of the
time of a piece. What is seen is what the filters of `transitions` show, which are for scenes of videos."""

from dataclasses import dataclass

import cv2
import numpy as np

from apigpu.v1 import story_pb2
from apigpu.v1.story_pb2 import Transition
from encoder.kenburns.sampling import Plane, planes
from encoder.media.info import Size
from encoder.story.transitions import MIN_FADE_FRAMES

BLACK, NEUTRAL = 16, 128
VERTICAL = (Transition.DIRECTION_UP, Transition.DIRECTION_DOWN)
# Toward the first column or row.
BACKWARD = (Transition.DIRECTION_UNSPECIFIED, Transition.DIRECTION_LEFT, Transition.DIRECTION_UP)


@dataclass(frozen=True)
class StillBlend:
    """Blends frames of two stills, of a size, as a transition says: frame k of n shows k / n of the next one."""

    transition: Transition
    size: Size

    def __call__(self, one: Plane, other: Plane, out: Plane, number: int, count: int) -> None:
        kind = self.transition.kind
        if kind == story_pb2.TRANSITION_KIND_SLIDE:
            self._move(one, other, out, number / count, slides=True)
        elif kind == story_pb2.TRANSITION_KIND_WIPE:
            self._move(one, other, out, number / count, slides=False)
        elif kind == story_pb2.TRANSITION_KIND_FADE_BLACK and count >= MIN_FADE_FRAMES:
            self._fade(one, other, out, number, count)
        else:
            cv2.addWeighted(one, 1 - number / count, other, number / count, 0, dst=out)

    def _fade(self, one: Plane, other: Plane, out: Plane, number: int, count: int) -> None:
        """Fade to black in the first half of the transition, and from it in the second."""
        half = count // 2
        black = np.full_like(out, NEUTRAL)
        black[: self.size.width * self.size.height] = BLACK
        shown, part = (one, 1 - number / half) if number < half else (other, (number - half) / (count - half))
        cv2.addWeighted(shown, part, black, 1 - part, 0, dst=out)

    def _move(self, one: Plane, other: Plane, out: Plane, part: float, *, slides: bool) -> None:
        """Let the next picture come in from a side, or be uncovered from there; to whole samples of color."""
        is_vertical, is_backward = (self.transition.direction in ways for ways in (VERTICAL, BACKWARD))
        length = self.size.height if is_vertical else self.size.width
        pairs = round(part * length / 2)
        for number, given in enumerate(zip(*(planes(each, self.size) for each in (one, other, out)), strict=True)):
            old, new, into = (plane.T if is_vertical else plane for plane in given)
            if not is_backward:
                old, new, into = (plane[:, ::-1] for plane in (old, new, into))
            moved = pairs if number else 2 * pairs
            edge = into.shape[1] - moved
            into[:, :edge] = old[:, moved:] if slides else old[:, :edge]
            into[:, edge:] = new[:, :moved] if slides else new[:, edge:]

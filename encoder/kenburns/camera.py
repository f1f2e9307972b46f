"""The camera over a still: the window of the picture that each frame shows. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apigpu.v1 import motion_pb2

START_ZOOM, END_ZOOM = 1.0, 1.324
CENTER = 0.5

Message = motion_pb2.Motion

# Sign of the way that the window travels, across and down; 0 leaves the axis to the focus.
PANS: Mapping[int, tuple[int, int]] = {
    Message.PAN_UNSPECIFIED: (0, 0),
    Message.PAN_LEFT: (-1, 0),
    Message.PAN_RIGHT: (1, 0),
    Message.PAN_UP: (0, -1),
    Message.PAN_DOWN: (0, 1),
    Message.PAN_UP_LEFT: (-1, -1),
    Message.PAN_UP_RIGHT: (1, -1),
    Message.PAN_DOWN_LEFT: (-1, 1),
    Message.PAN_DOWN_RIGHT: (1, 1),
}


def _linear(time: float) -> float:
    return time


def _in_out(time: float) -> float:
    return (1 - math.cos(math.pi * time)) / 2


EASINGS: Mapping[int, Callable[[float], float]] = {
    Message.EASING_UNSPECIFIED: _linear,
    Message.EASING_LINEAR: _linear,
    Message.EASING_IN_OUT: _in_out,
}
"""e(t) for t from 0 to 1."""


@dataclass(frozen=True)
class Window:
    """What a frame shows of the picture: zoom z, so 1/z of its width and height, and the part `x`, `y` of the room that
    is left beside it: 0 at the left or top edge, 1 at the right or bottom one."""

    zoom: float
    x: float
    y: float


@dataclass(frozen=True)
class Camera:
    """A movement: zoom from `start_zoom` towards `end_zoom`; `pan` are signs of PANS, `focus` is the point that stays
    in its place on an axis that is not panned; `easing` is an e(t) of EASINGS."""

    start_zoom: float = START_ZOOM
    end_zoom: float = END_ZOOM
    pan: tuple[int, int] = (0, 0)
    focus: tuple[float, float] = (CENTER, CENTER)
    easing: Callable[[float], float] = _linear

    @classmethod
    def of(cls, motion: Message) -> "Camera":
        """Return the camera of a request's message; a value that is not known moves as if it were not given."""
        start = motion.start_zoom if motion.HasField("start_zoom") else START_ZOOM
        end = motion.end_zoom if motion.HasField("end_zoom") else END_ZOOM
        x = motion.focus_x if motion.HasField("focus_x") else CENTER
        y = motion.focus_y if motion.HasField("focus_y") else CENTER
        if motion.zoom_out:
            start, end = end, start
        pan = PANS.get(motion.pan, (0, 0))
        return cls(start, end, pan, (x, y), EASINGS.get(motion.easing, _linear))

    @property
    def deepest_zoom(self) -> float:
        """The largest zoom of all frames."""
        return max(self.start_zoom, self.end_zoom)

    @property
    def widest_zoom(self) -> float:
        """The smallest zoom of all frames."""
        return min(self.start_zoom, self.end_zoom)

    @property
    def still(self) -> bool:
        """True if every frame shows the same."""
        return self.start_zoom == self.end_zoom and self.pan == (0, 0)

    def window(self, frame: int, frames: int) -> Window:
        """Return what frame `frame` of `frames` shows: z(n) = z0 + (z1 − z0)·e(n/N), of the REST contract's formula."""
        part = self.easing(frame / frames)
        zoom = self.start_zoom + (self.end_zoom - self.start_zoom) * part
        x, y = (_place(sign, focus, part) for sign, focus in zip(self.pan, self.focus, strict=True))
        return Window(zoom, x, y)


def _place(sign: int, focus: float, part: float) -> float:
    if sign == 0:
        return focus
    return part if sign > 0 else 1 - part

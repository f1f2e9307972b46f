"""The camera over a still: the window of the picture that each frame shows, sampled at real-valued positions; and the
filter graphs that make the still, from streams of ffmpeg-python to streams.

All positions are continuous: pixel i spans i to i + 1, its center lies at i + 0.5. A sample of color stands where
MPEG-2 has it ("left"): across at the center of every second pixel, down between two rows.

A still is kept in a size that has the shape of the clip but for the rounding to even numbers; FitTarget evens that out,
so that a circle is a circle in the clip.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from apigpu.v1 import motion_pb2
from apigpu.v1.motion_pb2 import Motion
from encoder.media.files import open_regular
from encoder.media.info import Size
from servicekit.errors import InvalidArgument

# One task is one thread; the codec has threads of its own.
cv2.setNumThreads(1)

Plane = np.ndarray[Any, np.dtype[np.uint8]]
Planes = tuple[Plane, Plane, Plane]

DEFAULT_MOTION = Motion(start_zoom=1, end_zoom=1.324, focus_x=0.5, focus_y=0.5)
# Sign of the way that the window travels, across and down; 0 leaves the axis to the focus.
PANS: Mapping[int, tuple[int, int]] = {
    Motion.PAN_UNSPECIFIED: (0, 0),
    Motion.PAN_LEFT: (-1, 0),
    Motion.PAN_RIGHT: (1, 0),
    Motion.PAN_UP: (0, -1),
    Motion.PAN_DOWN: (0, 1),
    Motion.PAN_UP_LEFT: (-1, -1),
    Motion.PAN_UP_RIGHT: (1, -1),
    Motion.PAN_DOWN_LEFT: (-1, 1),
    Motion.PAN_DOWN_RIGHT: (1, 1),
}
EASINGS: Mapping[int, Callable[[float], float]] = {
    Motion.EASING_UNSPECIFIED: lambda time: time,
    Motion.EASING_LINEAR: lambda time: time,
    Motion.EASING_IN_OUT: lambda time: (1 - math.cos(math.pi * time)) / 2,
}
"""e(t) for t from 0 to 1."""

# How far a still may be from a pixel for a pixel; for the default zoom one still is then enough.
SHARPNESS = 1.15
# Samples that a still is stored with for each pixel, across and down, where memory allows it.
FINE_GRID = 2
MAX_STORED_PIXELS = 64_000_000
MAX_STORED_SIDE = 32_000  # warpAffine counts with 16 bits
# The ground of FIT_BLUR is made this many times smaller than it is shown.
BLUR_REDUCTION = 8
# Within this range of zooms one still serves all frames.
SINGLE_RANGE = 1.25


@dataclass(frozen=True)
class Window:
    """What a frame shows of the picture: zoom z, so 1/z of its width and height, and the part `x`, `y` of the room that
    is left beside it: 0 at the left or top edge, 1 at the right or bottom one."""

    zoom: float
    x: float
    y: float


def complete_motion(requested: Motion) -> Motion:
    """Return a motion with all that the request leaves to the defaults, from its first zoom to its last."""
    motion = Motion()
    for part in (DEFAULT_MOTION, requested):
        motion.MergeFrom(part)
    if motion.zoom_out:
        motion.start_zoom, motion.end_zoom = motion.end_zoom, motion.start_zoom
    return motion


def is_still(motion: Motion) -> bool:
    """Return True if every frame shows the same."""
    return motion.start_zoom == motion.end_zoom and not motion.pan


def window(motion: Motion, frame: int, frames: int) -> Window:
    """Return what frame `frame` of `frames` shows: z(n) = z0 + (z1 − z0)·e(n/N), of the REST contract's formula."""
    part = EASINGS[motion.easing](frame / frames)
    zoom = motion.start_zoom + (motion.end_zoom - motion.start_zoom) * part
    across, down = PANS[motion.pan]
    return Window(zoom, _place(across, motion.focus_x, part), _place(down, motion.focus_y, part))


def _place(sign: int, focus: float, part: float) -> float:
    if sign == 0:
        return focus
    return part if sign > 0 else 1 - part


class NoPicture(Exception):
    """A file is not the one frame that it should be."""


@dataclass(frozen=True)
class StillLevel:
    """A still in one size: a raw file of yuv420p that shows no more detail than `size` has, stored with `grid`
    samples for each of its pixels, across and down."""

    path: Path
    size: Size
    grid: int

    @property
    def stored(self) -> Size:
        """Samples across and down."""
        return Size(self.size.width * self.grid, self.size.height * self.grid)


@dataclass(frozen=True)
class StillFrames:
    """Generates the frames of a clip when it is called: `count` of size `clip`, from one still in several sizes, the
    largest first. Of a movement over `whole` frames (0: over these) they show what begins with number `first`. `field`
    is to blame where there is no still."""

    levels: tuple[StillLevel, ...]
    clip: Size
    motion: Motion
    count: int
    field: str
    first: int = 0
    whole: int = 0

    def __call__(self) -> Iterator[memoryview]:
        shown = range(self.first, self.first + self.count)
        try:
            yield from frames(self.levels, self.clip, self.motion, self.whole or self.count, shown)
        except NoPicture as error:  # FFmpeg was content, and yet there was nothing to show
            text = "the image is damaged and cannot be decoded; send it again, or convert it first."
            raise InvalidArgument.field(self.field, text, reason="BAD_INPUT") from error


def planes(buffer: Plane, size: Size) -> Planes:
    """Return views of Y (height × width), U and V (half of both) in a frame of yuv420p."""
    luma = size.width * size.height
    half = (size.height // 2, size.width // 2)
    y = buffer[:luma].reshape(size.height, size.width)
    u = buffer[luma : luma * 5 // 4].reshape(half)
    v = buffer[luma * 5 // 4 : size.frame_bytes].reshape(half)
    return y, u, v


def frames(
    levels: Sequence[StillLevel], clip: Size, motion: Motion, count: int, shown: range | None = None
) -> Iterator[memoryview]:
    """Yield the frames `shown` (all, when None) of a clip of `count`: yuv420p of size `clip`, from one still in several
    sizes, the largest first. Each frame is valid until the next is taken. Raises NoPicture."""
    numbers = range(count) if shown is None else shown
    stills = [planes(_read(level), level.stored) for level in levels]
    frame, other = (np.empty(clip.frame_bytes, np.uint8) for _ in range(2))
    for number in numbers:
        if number == numbers[0] or not is_still(motion):
            seen = window(motion, number, count)
            chosen, part = _choose_size([level.size for level in levels], clip, seen)
            _sample(stills[chosen], levels[chosen], planes(frame, clip), clip, seen)
            if part:
                _sample(stills[chosen + 1], levels[chosen + 1], planes(other, clip), clip, seen)
                cv2.addWeighted(frame, 1 - part, other, part, 0, dst=frame)
        yield frame.data


def level_scales(motion: Motion, source_scale: float) -> list[float]:
    """Return the sizes to keep a still in, as multiples of the clip's, the largest first; `source_scale` is that of the
    source.

    The deepest zoom samples a still SHARPNESS times smaller than one that would give it a pixel for a pixel: 1.15 for
    the default zoom. Bilinear sampling of a still that is stored on a grid twice as fine as its detail comes near to
    cubic sampling of it, in half the time. Of a detailed, noisy picture of 4.7 megapixels at 1080p, x264 veryfast at
    CRF 23, against an ideal (Lanczos) zoom (`python -m bench kernels`):

        kept at, grid, sampling  VMAF  bytes by those of the zoompan command  ms a frame, on a busy machine
        1.00  1  cubic           88.3  0.72                                   24
        1.15  1  linear          84.1  0.72                                    9
        1.15  1  cubic           90.1  0.89                                   24
        1.15  1  Lanczos         89.9  0.94                                   94
        1.15  2  linear          88.2  0.81                                   12
        1.32  1  linear          86.2  0.90                                   11
        1.32  1  cubic           91.4  1.18                                   24
        1.32  2  linear          89.9  1.03                                   11
        (zoompan command)        68.3  1                                       -

    A wide zoom would skip pixels of a still kept for a deep one, and shimmer. So smaller ones are kept beside it, none
    twice as large as the next, down to that which suits the widest; frames between two are blended of both.
    """
    top = max(min(max(motion.start_zoom, motion.end_zoom) / SHARPNESS, source_scale), 1.0)
    bottom = max(min(motion.start_zoom, motion.end_zoom) * SHARPNESS, 1.0)
    steps = math.ceil(math.log2(top / bottom)) if top / bottom > SINGLE_RANGE else 0
    return [top * (bottom / top) ** (step / steps) for step in range(steps + 1)] if steps else [top]


def grid(largest: Size) -> int:
    """Return the samples that stills are stored with for each pixel, across and down; `largest` is the largest
    still."""
    fine = Size(largest.width * FINE_GRID, largest.height * FINE_GRID)
    fits = fine.width * fine.height <= MAX_STORED_PIXELS and max(fine.width, fine.height) <= MAX_STORED_SIDE
    return FINE_GRID if fits else 1


def _read(level: StillLevel) -> Plane:
    try:
        with open_regular(level.path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != level.stored.frame_bytes:
                raise NoPicture(f"{size} bytes are no picture of {level.stored.width}x{level.stored.height}")
            return np.fromfile(file, np.uint8, size)
    except OSError as error:
        raise NoPicture("there is no file") from error


def needed_sizes(sizes: Sequence[Size], clip: Size, shown: Window) -> Sequence[Size]:
    """Return the sizes of a still, of these, the largest first, that one picture is sampled from."""
    chosen, part = _choose_size(sizes, clip, shown)
    return sizes[chosen : chosen + 2] if part else sizes[chosen : chosen + 1]


def _choose_size(sizes: Sequence[Size], clip: Size, shown: Window) -> tuple[int, float]:
    """Return which size to sample, and the part of the next smaller one: none where the still has a pixel for a
    pixel."""
    wanted = clip.width * shown.zoom
    for number in range(len(sizes) - 1):
        large, small = sizes[number].width, sizes[number + 1].width
        if wanted > small:
            return number, min(max(math.log(large / wanted) / math.log(large / small), 0.0), 1.0)
    return len(sizes) - 1, 0.0


def _sample(source: Planes, level: StillLevel, target: Planes, clip: Size, shown: Window) -> None:
    luma, chroma = matrices(level.stored, clip, shown)
    kernel = cv2.INTER_LINEAR if level.grid >= FINE_GRID else cv2.INTER_CUBIC
    for number, (plane, into) in enumerate(zip(source, target, strict=True)):
        cv2.warpAffine(
            plane,
            chroma if number else luma,
            (into.shape[1], into.shape[0]),
            dst=into,
            flags=kernel | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )


def matrices(stored: Size, clip: Size, shown: Window) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return 2 × 3 matrices from the index of a sample in the clip to that in the still: of luma, and of chroma."""
    step_x, step_y = stored.width / shown.zoom / clip.width, stored.height / shown.zoom / clip.height
    left = shown.x * (stored.width - stored.width / shown.zoom)
    top = shown.y * (stored.height - stored.height / shown.zoom)
    # Luma: index + 0.5 is the position, on both sides. Chroma: 2 · index + 0.5 across, 2 · index + 1 down.
    x, y = left + 0.5 * step_x - 0.5, top + 0.5 * step_y - 0.5
    luma = np.array([[step_x, 0, x], [0, step_y, y]])
    chroma = np.array([[step_x, 0, x / 2], [0, step_y, (top + step_y - 1) / 2]])
    return luma, chroma


def flatten_alpha(stream: Any, background: str) -> Any:
    """Return a transparent still on a color. Done before scaling, so that hidden colors do not bleed into the edges."""
    parts = stream.filter("format", "rgba").filter_multi_output("split")
    ground = parts[0].filter("drawbox", color=background, t="fill", replace=1)
    return ground.overlay(parts[1], format="gbrp").filter("format", "gbrp")


@dataclass(frozen=True)
class FitTarget:
    """The size that a still is stored in, for a clip of size `clip`."""

    size: Size
    clip: Size


def to_yuv(stream: Any, size: Size, stored: Size) -> Any:
    """Return a still with the detail of `size`, in as many samples as `stored`: yuv420p in the colors of HD video,
    BT.709, limited range, color samples at the left."""
    scaled = _lanczos(stream, size.width, size.height, out_color_matrix="bt709", out_range="tv", out_chroma_loc="left")
    still = scaled.filter("format", "yuv420p")
    if stored == size:
        return still
    return _lanczos(still, stored.width, stored.height, in_chroma_loc="left", out_chroma_loc="left")


def _lanczos(stream: Any, width: int | str, height: int | str, **options: str) -> Any:
    return stream.filter("scale", width, height, flags="lanczos+accurate_rnd+full_chroma_int", **options)


def _scale_whole(stream: Any, target: FitTarget, choose: str) -> Any:
    """Return the still in its own shape, so that it fills the clip (`choose` "max") or fits into it ("min")."""
    clip, size = target.clip, target.size
    shapes = ("w", size.width, clip.width), ("h", size.height, clip.height)
    by = f"{choose}({clip.width}/iw,{clip.height}/ih)"
    sides = [f"max(round(i{side}*{by}*{to}/{of}),1)" for side, to, of in shapes]
    return _lanczos(stream, *sides).filter("format", "gbrp")


def _cover(stream: Any, target: FitTarget, _: str) -> Any:
    return _scale_whole(stream, target, "max").filter("crop", target.size.width, target.size.height)


def _contain(stream: Any, target: FitTarget, background: str) -> Any:
    whole = _scale_whole(stream, target, "min")
    return whole.filter("pad", target.size.width, target.size.height, "(ow-iw)/2", "(oh-ih)/2", color=background)


def _blur(stream: Any, target: FitTarget, background: str) -> Any:
    parts = stream.filter_multi_output("split")
    # Blurred small, as nothing finer is left of it: a large radius is slow at full size.
    size = target.size
    small = FitTarget(Size(max(size.width // BLUR_REDUCTION, 2), max(size.height // BLUR_REDUCTION, 2)), target.clip)
    ground = _cover(parts[0], small, background).filter("gblur", sigma=max(small.size.width, small.size.height) / 24)
    whole = _scale_whole(parts[1], target, "min")
    grown = _lanczos(ground, size.width, size.height).filter("format", "gbrp")
    return grown.overlay(whole, x="(W-w)/2", y="(H-h)/2", format="gbrp")


def _stretch(stream: Any, target: FitTarget, _: str) -> Any:
    return _lanczos(stream, target.size.width, target.size.height).filter("format", "gbrp")


FITS: Mapping[int, Callable[[Any, FitTarget, str], Any]] = {
    motion_pb2.FIT_UNSPECIFIED: _cover,
    motion_pb2.FIT_COVER: _cover,
    motion_pb2.FIT_CONTAIN: _contain,
    motion_pb2.FIT_BLUR: _blur,
    motion_pb2.FIT_STRETCH: _stretch,
}
"""Functions that return a still in the shape of the clip and in the target's size, in RGB."""

"""Filter graphs of stills: pure functions from streams of ffmpeg-python to streams.

A still is kept in a size that has the shape of the clip but for the rounding to even numbers; FitTarget evens that out,
so that a circle is a circle in the clip.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apigpu.v1 import motion_pb2
from encoder.media.info import Size

# The ground of FIT_BLUR is made this many times smaller than it is shown.
BLUR_REDUCTION = 8


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


def to_yuv(stream: Any, size: Size, grid: Size) -> Any:
    """Return a still with the detail of `size`, in as many samples as `grid`: yuv420p in the colors of HD video,
    BT.709, limited range, color samples at the left."""
    scaled = _lanczos(stream, size.width, size.height, out_color_matrix="bt709", out_range="tv", out_chroma_loc="left")
    planes = scaled.filter("format", "yuv420p")
    return (
        planes
        if grid == size
        else _lanczos(planes, grid.width, grid.height, in_chroma_loc="left", out_chroma_loc="left")
    )


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

"""Filter graphs: pure functions from streams of ffmpeg-python to streams. Nothing here reads or runs anything."""

from fractions import Fraction
from typing import Any

import ffmpeg

from encoder.plan import MediaInfo

ZOOM = 0.324
# Samples of the picture for each pixel of a clip at the start of the zoom; see `ken_burns`.
OVERSAMPLING = 1.15
CLIP_WIDTH, CLIP_HEIGHT = 1920, 1080


def opened(name: str, info: MediaInfo) -> Any:
    """An input that FFmpeg opens with the demuxer that the probe found, and that can name no other file."""
    return ffmpeg.input(name, f=info.demuxer, protocol_whitelist="file,pipe")


def even(stream: Any) -> Any:
    """The picture without its last column and row where their number is odd: yuv420p has one chroma sample for two."""
    return stream.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2", 0, 0)


def captions(stream: Any, script: str, fonts: str, shown_width: int, shown_height: int) -> Any:
    """The picture with an ASS script drawn in; `shown_…` is its size in square pixels, as the script has it."""
    return stream.filter("ass", script, fontsdir=fonts, original_size=f"{shown_width}x{shown_height}")


def over_black(stream: Any) -> Any:
    """A transparent still on black. Done before scaling, so that hidden colours do not bleed into the edges."""
    return stream.filter("format", "gbrap").filter("premultiply", inplace=1).filter("format", "gbrp")


def filled(stream: Any, width: int, height: int, pixel_format: str) -> Any:
    """A still scaled and cropped to fill `width` × `height`, in the colours of HD video (BT.709, limited range)."""
    scaled = stream.filter(
        "scale",
        width,
        height,
        force_original_aspect_ratio="increase",
        flags="lanczos+accurate_rnd",
        out_color_matrix="bt709",
        out_range="tv",
    )
    cropped = scaled.filter("format", pixel_format).filter("crop", width, height).filter("setsar", 1)
    return cropped.filter("setparams", color_primaries="bt709", color_trc="bt709")


def ken_burns(stream: Any, frames: int, rate: Fraction, pixel_format: str) -> Any:
    """A still as `frames` frames of 1920×1080 at `rate` a second, z(n) = min(1 + 0.324·n/frames, 1.324) at the centre.

    `perspective` samples at 1/256 pixel, so the zoom is steady where `zoompan`, which cuts whole chroma pixels, shakes.
    It makes pictures as large as its input. The still is therefore kept at `OVERSAMPLING` times the size of the clip,
    the clip is drawn in the upper left corner of the canvas, and the rest cropped away.
    """
    width, height = (2 * round(side * OVERSAMPLING / 2) for side in (CLIP_WIDTH, CLIP_HEIGHT))
    looped = (
        filled(stream, width, height, pixel_format)
        .filter("loop", loop=frames, size=1)
        .filter("setpts", f"N/({rate})/TB")
    )
    zoomed = looped.filter("perspective", interpolation="linear", eval="frame", **_corners(frames))
    return zoomed.filter("crop", CLIP_WIDTH, CLIP_HEIGHT, 0, 0)


def _corners(frames: int) -> dict[str, str]:
    """Where in the canvas the canvas's own corners come from, frame by frame (`on` counts from 1)."""
    zoom = f"min(1+{ZOOM}*(on-1)/{frames},{1 + ZOOM})"
    left, right = _edges("W", CLIP_WIDTH, zoom)
    top, bottom = _edges("H", CLIP_HEIGHT, zoom)
    xs, ys = (left, right, left, right), (top, top, bottom, bottom)
    return {f"x{n}": xs[n] for n in range(4)} | {f"y{n}": ys[n] for n in range(4)}


def _edges(side: str, shown: int, zoom: str) -> tuple[str, str]:
    # Pixel i lies at i, its middle at i + 0.5: the centre of `shown` pixels maps to the centre of the canvas.
    step = f"({side}/{shown})/({zoom})"
    near = f"({side}-1)/2-{(shown - 1) / 2}*{step}"
    return near, f"{near}+{side}*{step}"

"""Filter graphs: pure functions from streams of ffmpeg-python to streams. Nothing here reads or runs anything."""

from fractions import Fraction
from typing import Any

import ffmpeg

from encoder.plan import MediaInfo, VideoStream

ZOOM = 0.324
# These hold no presentation times: the decoder's delay would come on top of them.
UNTIMED = ("avi",)
CLIP_WIDTH, CLIP_HEIGHT = 1920, 1080


def opened(name: str, info: MediaInfo) -> Any:
    """An input that FFmpeg opens with the demuxer that the probe found, and that can name no other file."""
    return ffmpeg.input(name, f=info.demuxer, protocol_whitelist="file,pipe")


def picture(given: Any, info: MediaInfo, video: VideoStream) -> Any:
    """The moving picture of an input, without its last column and row where their number is odd: yuv420p has one
    sample of colour for two of each."""
    stream = given[str(video.index)]
    if info.demuxer in UNTIMED:
        stream = stream.filter("setpts", "PTS-STARTPTS")
    return stream.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2", 0, 0)


def captions(stream: Any, script: str, fonts: str) -> Any:
    """The picture with an ASS script drawn in, by fonts of the folder `fonts`."""
    return stream.filter("ass", script, fontsdir=fonts)


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
    cropped = scaled.filter("format", pixel_format).filter("crop", width, height, exact=1).filter("setsar", 1)
    return cropped.filter("setparams", color_primaries="bt709", color_trc="bt709")


def ken_burns(stream: Any, frames: int, rate: Fraction, pixel_format: str) -> Any:
    """A still as `frames` frames of 1920×1080 at `rate` a second, z(n) = min(1 + 0.324·n/frames, 1.324) at the centre.

    `perspective` samples at 1/256 pixel: against the formula its centre strays by 0.02 pixels (RMS, 5 s), where
    `zoompan`, which cuts whole pixels of colour, strays by 0.33 even from a picture of 6720 × 3840.

    It samples a still of the clip's own size, bilinearly. Measured against an ideal zoom of the full picture that is
    2 to 6 dB (PSNR) above the zoompan command, at the same CPU time. A still of 1.15 or 1.325 times the size gained
    0.1 dB on a film frame, 0.7 or 2 dB on the finest detail, and took 12 % or 30 % more; cubic sampling took 30 % more.
    """
    still = filled(stream, CLIP_WIDTH, CLIP_HEIGHT, pixel_format)
    looped = still.filter("loop", loop=frames, size=1).filter("setpts", f"N/({rate})/TB")
    return looped.filter("perspective", interpolation="linear", eval="frame", **_corners(frames))


def _corners(frames: int) -> dict[str, str]:
    """Where in the still the corners of the picture come from, frame by frame (`on` counts from 1)."""
    zoom = f"min(1+{ZOOM}*(on-1)/{frames},{1 + ZOOM})"
    left, right = _edges("W", zoom)
    top, bottom = _edges("H", zoom)
    xs, ys = (left, right, left, right), (top, top, bottom, bottom)
    return {f"x{n}": xs[n] for n in range(4)} | {f"y{n}": ys[n] for n in range(4)}


def _edges(side: str, zoom: str) -> tuple[str, str]:
    # The first pixel lies at 0 and the last at side - 1: between them, not at side / 2, is the point that stays.
    near = f"({side}-1)/2*(1-1/({zoom}))"
    return near, f"{near}+{side}/({zoom})"

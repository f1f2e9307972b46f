"""Videos in the canvas of a film: filter graphs that fit pictures of any shape, and that give a video the clock of the
film. Pure functions from streams of ffmpeg-python to streams. Stills have their own, which look closer: kenburns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from apigpu.v1 import motion_pb2
from encoder.ffmpeg import filters
from encoder.media.info import MediaInfo, Size, VideoStream

MIN_SIDE = 2
# The ground of a blurred fit is made this many times smaller than it is shown; nothing finer is left of it.
BLUR_REDUCTION, BLUR_SHARE = 8, 24
# Files whose index tells where pictures are. Others are read from their start.
SEEKABLE = ("mov", "matroska")


@dataclass(frozen=True)
class Target:
    """The canvas: its size, and the color of what is left free, "#RRGGBB"."""

    size: Size
    background: str


@dataclass(frozen=True)
class Cut:
    """What of a video is shown, in seconds by the clock of its file."""

    start: float
    end: float


def fit_video(given: Any, info: MediaInfo, video: VideoStream, target: Target, fit: int) -> Any:
    """Return the pictures of an input in the canvas: yuv420p in the colors of HD video."""
    shown = filters.hd_picture(given, info, video)
    shown = FITS[fit](shown, video, target).filter("setsar", 1)
    tags = {"range": "tv", "color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709"}
    return shown.filter("format", "yuv420p").filter("setparams", chroma_location="left", **tags)


def seek_options(info: MediaInfo, cut: Cut) -> dict[str, Any]:
    """Return options of the input by which it is not read before the cut."""
    is_sought = info.demuxer in SEEKABLE and cut.start > 0 and not info.is_cut_off
    return {"ss": f"{cut.start:.6f}", "noaccurate_seek": None} if is_sought else {}


def by_film_clock(stream: Any, info: MediaInfo, cut: Cut, shown: range, rate: Fraction) -> Any:
    """Return the frames `shown` of what is left of a video, at a rate; where it is too short its last frame is held."""
    start = 0.0 if seek_options(info, cut) else cut.start
    timed = stream.filter("setpts", f"PTS-{start:.6f}/TB").filter("trim", end=f"{cut.end - cut.start:.6f}")
    # What is left may be shorter than a frame of the film.
    paced = timed.filter("fps", str(rate), start_time=0, eof_action="pass")
    held = paced.filter("tpad", stop=-1, stop_mode="clone")
    held = held.filter("trim", start_frame=shown.start, end_frame=shown.stop).filter("setpts", "PTS-STARTPTS")
    return held.filter("settb", f"{rate.denominator}/{rate.numerator}")


def _shape(video: VideoStream) -> tuple[Fraction, Fraction]:
    """Return width and height that a player shows, in square pixels."""
    width, height = video.rotated_size
    return width * video.rotated_aspect, Fraction(height)


def _scale(stream: Any, video: VideoStream, width: int, height: int) -> Any:
    return stream.filter(
        "scale", width, height, in_color_matrix=filters.color_matrix(video), out_color_matrix="bt709", flags="bicubic"
    )


def _whole_size(video: VideoStream, size: Size, choose: Callable[..., Fraction]) -> tuple[int, int]:
    """Return the even size of a picture in its own shape that fills a size (`choose` max) or fits into it (min)."""
    width, height = _shape(video)
    by = choose(size.width / width, size.height / height)
    return max(2 * round(width * by / 2), MIN_SIDE), max(2 * round(height * by / 2), MIN_SIDE)


def _cover(stream: Any, video: VideoStream, target: Target) -> Any:
    size = target.size
    width, height = _whole_size(video, size, max)
    scaled = _scale(stream, video, max(width, size.width), max(height, size.height))
    return scaled.filter("crop", size.width, size.height)


def _contained(stream: Any, video: VideoStream, target: Target) -> Any:
    width, height = _whole_size(video, target.size, min)
    return _scale(stream, video, min(width, target.size.width), min(height, target.size.height))


def _contain(stream: Any, video: VideoStream, target: Target) -> Any:
    size = target.size
    whole = _contained(stream, video, target)
    return whole.filter("pad", size.width, size.height, "(ow-iw)/2", "(oh-ih)/2", color=target.background)


def _blur(stream: Any, video: VideoStream, target: Target) -> Any:
    size, parts = target.size, stream.filter_multi_output("split", 2)
    sides = (max(side // BLUR_REDUCTION // 2 * 2, MIN_SIDE) for side in (size.width, size.height))
    small = Target(Size(*sides), target.background)
    ground = _cover(parts[0], video, small).filter("gblur", sigma=max(small.size.width, small.size.height) / BLUR_SHARE)
    grown = ground.filter("scale", size.width, size.height, flags="bicubic").filter("setsar", 1)
    whole = _contained(parts[1], video, target).filter("setsar", 1)
    return grown.overlay(whole, x="(W-w)/2", y="(H-h)/2", format="yuv420")


def _stretch(stream: Any, video: VideoStream, target: Target) -> Any:
    return _scale(stream, video, target.size.width, target.size.height)


FITS: Mapping[int, Callable[[Any, VideoStream, Target], Any]] = {
    motion_pb2.FIT_UNSPECIFIED: _cover,
    motion_pb2.FIT_COVER: _cover,
    motion_pb2.FIT_CONTAIN: _contain,
    motion_pb2.FIT_BLUR: _blur,
    motion_pb2.FIT_STRETCH: _stretch,
}

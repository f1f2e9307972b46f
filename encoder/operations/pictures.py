"""One picture of a video as an image: where it is, how FFmpeg seeks it, and the kinds of images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apigpu.v1 import video_pb2
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun, MakeWriter
from encoder.media import packets
from encoder.media.info import MediaInfo, Source, VideoStream
from encoder.media.streams import MAX_PIXELS, MAX_SIDE
from encoder.operations.plan import PlanContext
from servicekit.errors import InvalidArgument

# Source of qscale 3: as good as JPEG looks at 90 %.
JPEG: Mapping[str, str] = {"c:v": "mjpeg", "q:v": "3"}
# Of each image format: its MIME type, and the options that make it.
FORMATS: Mapping[int, tuple[str, Mapping[str, str]]] = {
    video_pb2.IMAGE_FORMAT_UNSPECIFIED: ("image/jpeg", JPEG),
    video_pb2.IMAGE_FORMAT_JPEG: ("image/jpeg", JPEG),
    video_pb2.IMAGE_FORMAT_PNG: ("image/png", {"c:v": "png"}),
    video_pb2.IMAGE_FORMAT_WEBP: ("image/webp", {"c:v": "libwebp", "quality": "88"}),
}
# FFmpeg reads these from their beginning alone.
UNSEEKABLE = ("webp_anim",)
MILLISECONDS = 1000
AT = "at_seconds"


@dataclass(frozen=True)
class Moment:
    """Where a picture is: seconds from the start of the file, and options by which FFmpeg seeks it; or it `is_far`, and
    all before it is decoded."""

    seconds: float
    options: Mapping[str, Any] = field(default_factory=dict)
    is_far: bool = False


def is_jpeg(form: int) -> bool:
    """Return True for the format of images that is JPEG."""
    return FORMATS[form][1] is JPEG


def moment_at(at: float, source: Source, info: MediaInfo, video: VideoStream) -> Moment:
    """Return the moment of the picture that is shown at a time, in seconds from the start of the file."""
    if info.other_videos:  # whose key frames are those that FFmpeg seeks
        return Moment(at, is_far=True)
    return seek_exactly(packets.shown_at(source, info, video, at))


def check_within(at: float, seconds: float) -> None:
    """Raise InvalidArgument for a time past the end of what lasts so many seconds."""
    if at >= seconds:
        text = f"{at:g} s is past the end; the video lasts {seconds:.3f} s."
        raise InvalidArgument.field(AT, text, reason="PAST_END")


def check_size(across: int, down: int, field_name: str = "width") -> tuple[int, int]:
    """Return the pixels of an image across and down. Raises InvalidArgument for too many, which names the field."""
    if max(across, down) > MAX_SIDE or across * down > MAX_PIXELS:
        text = f"the picture would have {across}×{down} pixels; {MAX_SIDE} a side and 100 megapixels are the most: "
        raise InvalidArgument.field(field_name, f"{text}give a smaller width.")
    return across, down


def seek_exactly(seconds: float) -> Moment:
    """Return the first picture at a time or after it; FFmpeg decodes from the key frame before."""
    return Moment(seconds, {"ss": f"{max(seconds - 0.5 / MILLISECONDS, 0):.6f}"})


def open_at(moment: Moment, source: Source, info: MediaInfo) -> Any:
    """Return the input, sought where that can be."""
    return filters.open_input(source.path.name, info, **(moment.options if info.demuxer not in UNSEEKABLE else {}))


def begin_at(moment: Moment, shown: Any, info: MediaInfo) -> Any:
    """Return a picture of such an input from the moment on."""
    if not moment.is_far and info.demuxer not in UNSEEKABLE:
        return shown
    return shown.filter("trim", start=f"{max(moment.seconds - 0.5 / MILLISECONDS, 0):.6f}")


def as_image(shown: Any, video: VideoStream, across: int, down: int) -> Any:
    """Return a picture that came of `hd_picture` as images have it: of square pixels, RGB or what JPEG has."""
    return _converted(shown, filters.color_matrix(video), across, down)


def hd_as_image(shown: Any, across: int, down: int) -> Any:
    """Return a picture of raw frames that are labeled as HD video as images have it."""
    return _converted(shown, "bt709", across, down)


def hd_as_jpeg(shown: Any) -> Any:
    """Return a picture in the colors of HD video, yuv420p of limited range, as JPEG has it, in its own size: by a
    matrix alone, in a sixth of the time that it takes by way of RGB."""
    same = {"primaries": "bt709", "trc": "bt709", "iprimaries": "bt709", "itrc": "bt709"}
    jpeg = shown.filter("colorspace", ispace="bt709", irange="tv", space="smpte170m", range="pc", **same)
    return _as_labeled(jpeg)


def _converted(shown: Any, matrix: str, across: int, down: int) -> Any:
    scaled = shown.filter(
        "scale",
        across,
        down,
        in_color_matrix=matrix,
        out_color_matrix="bt601",
        out_range="pc",
        flags="lanczos+accurate_rnd+full_chroma_int",
    )
    return _as_labeled(scaled)


def _as_labeled(image: Any) -> Any:
    return image.filter("setsar", 1).filter("setparams", range="pc", colorspace="smpte170m")


def write(image: Any, form: int, context: PlanContext, stdin: MakeWriter | None = None) -> FfmpegRun:
    """Return the run that writes the first picture of a stream as the result, an image of a format."""
    output = {**FORMATS[form][1], "frames:v": "1", "f": "image2", "update": "1"}
    return context.output((), output).run(image, {}, stdin)

"""img2vid: a still as a clip with a slow zoom (Ken Burns), sampled between pixels."""

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import ffmpeg

from apigpu.v1 import motion_pb2, video_pb2
from encoder.codecs.base import RawFrames
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun, compiled
from encoder.ffmpeg.errors import IMAGE_CUT_OFF
from encoder.kenburns import sampling, stills
from encoder.kenburns.camera import Camera, Size
from encoder.kenburns.sampling import Level
from encoder.media import probe
from encoder.operations.output import container, is_streamable
from encoder.operations.plan import MediaInfo, Plan, PlanContext, Source, VideoStream
from servicekit.errors import InvalidArgument

FRAME_RATE = 24.0
DURATION_SECONDS = 5.0
CLIP = Size(1920, 1080)
BACKGROUND = "#000000"
RATES = (1.0, 60.0)
DURATIONS = (0.1, 600.0)
ZOOMS = (1.0, 10.0)
SHARE = (0.0, 1.0)
SIDES = (16, 3840)
MAX_CLIP_PIXELS = 3840 * 2160
COLOUR = re.compile("#[0-9A-Fa-f]{6}")


def plan(request: video_pb2.Img2VidRequest, materials: PlanContext) -> Plan:
    """See Operation. The clip has round(duration · frame_rate) frames. One run makes the still in the sizes that the
    camera needs; the other encodes what the camera sees."""
    kind = container(request)
    batch = len(request.images) > 0
    source = materials.source("images.image_url" if batch else "url_image")
    frames, rate = _length(request)
    clip, camera, background = _size(request), _camera(request), _background(request)
    info, still = probe.probe_image(source)
    sizes = [clip.scaled(scale) for scale in sampling.kept_scales(camera, _finest(still, clip, request.fit))]
    levels = [
        Level(materials.folder / f"still{number}.yuv", size, sampling.grid(sizes[0]))
        for number, size in enumerate(sizes)
    ]
    picture = (
        stills.flatten_alpha(_given(source, info, still), background)
        if still.transparent
        else _given(source, info, still)
    )
    fitted = stills.fitted(picture, request.fit, stills.FitTarget(sizes[0], clip), background)

    def seen() -> Iterator[memoryview]:
        try:
            yield from sampling.frames(levels, clip, camera, frames)
        except sampling.NoPicture as error:  # FFmpeg was content, and yet there was nothing to show
            text = "the image is damaged and cannot be decoded; send it again, or convert it first."
            raise probe.fault(source, text) from error

    return Plan(
        passes=(
            FfmpegRun(_stills(fitted, levels), (source.field,), IMAGE_CUT_OFF),
            materials.codec.step(RawFrames(seen, clip, rate, frames), materials.around((), kind)),
        ),
        field=source.field,
        codec=materials.codec.name,
        duration_seconds=float(frames / rate),
        frames_total=frames,
        flows=is_streamable(request),
    )


def _given(source: Source, info: MediaInfo, still: VideoStream) -> Any:
    # FFmpeg turns each tile, and then the whole again; told not to, it still turns the whole.
    options = {"noautorotate": None} if still.tiled else {}
    return filters.opened(source.path.name, info, **options)[still.specifier]


def _stills(fitted: Any, levels: list[Level]) -> tuple[str, ...]:
    parts = fitted.filter_multi_output("split", len(levels)) if len(levels) > 1 else [fitted]
    outputs = [
        ffmpeg.output(
            stills.to_yuv(parts[n], level.size, level.stored), level.path.name, f="rawvideo", **{"frames:v": "1"}
        )
        for n, level in enumerate(levels)
    ]
    return compiled(ffmpeg.merge_outputs(*outputs))


def _length(request: video_pb2.Img2VidRequest) -> tuple[int, Fraction]:
    """Frames, and frames a second."""
    batch = len(request.images) > 0
    seconds = (
        request.images[0].duracao if batch else request.duration if request.HasField("duration") else DURATION_SECONDS
    )
    rate = request.frame_rate if request.HasField("frame_rate") else FRAME_RATE
    _within("images.duracao" if batch else "duration", seconds, DURATIONS)
    _within("frame_rate", rate, RATES)
    return max(round(seconds * rate), 1), Fraction(rate).limit_denominator(1001)


def _size(request: video_pb2.Img2VidRequest) -> Size:
    clip = Size(request.width or CLIP.width, request.height or CLIP.height)
    for name, side in {"width": clip.width, "height": clip.height}.items():
        _within(name, side, SIDES)
        if side % 2:
            raise _wrong(name, f"{side} is odd, and H.264 takes even sizes; give {side + 1}.")
    if clip.width * clip.height > MAX_CLIP_PIXELS:
        raise _wrong("width", f"{clip.width}×{clip.height} pixels are too many; 3840×2160 are the most.")
    return clip


def _camera(request: video_pb2.Img2VidRequest) -> Camera:
    own = len(request.images) > 0 and request.images[0].HasField("motion")
    motion, where = (request.images[0].motion, "images.motion") if own else (request.motion, "motion")
    camera = Camera.of(motion)
    _known(f"{where}.pan", motion_pb2.Motion.Pan, motion.pan)
    _known(f"{where}.easing", motion_pb2.Motion.Easing, motion.easing)
    _known("fit", motion_pb2.Fit, request.fit)
    _within(f"{where}.start_zoom", camera.start_zoom, ZOOMS)
    _within(f"{where}.end_zoom", camera.end_zoom, ZOOMS)
    _within(f"{where}.focus_x", camera.focus[0], SHARE)
    _within(f"{where}.focus_y", camera.focus[1], SHARE)
    return camera


def _background(request: video_pb2.Img2VidRequest) -> str:
    background = request.background or BACKGROUND
    if not COLOUR.fullmatch(background):
        raise _wrong("background", f"'{background}' is no color; give one like #202020.")
    return background


def _finest(still: VideoStream, clip: Size, fit: int) -> float:
    """How many pixels the still has for one of the clip's, whichever way up it is."""
    ways = ((still.width, still.height), (still.height, still.width))
    choose = min if fit in (motion_pb2.FIT_UNSPECIFIED, motion_pb2.FIT_COVER) else max
    finest = max(choose(width / clip.width, height / clip.height) for width, height in ways)
    return min(finest, math.sqrt(sampling.MAX_STORED_PIXELS / (clip.width * clip.height)))


def _known(field: str, kind: Any, value: int) -> None:
    if value not in kind.values():
        raise _wrong(field, f"{value} is not known; give one of {', '.join(kind.keys())}.")


def _within(field: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not (math.isfinite(value) and low <= value <= high):
        raise _wrong(field, f"{value:g} is out of range; give {low:g} to {high:g}.")


def _wrong(field: str, text: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {text}", fields={field: text})

"""img2vid: a still as a clip with a slow zoom (Ken Burns), sampled between pixels."""

import math
import re
from fractions import Fraction
from typing import Any

import ffmpeg

from apigpu.v1 import motion_pb2, video_pb2
from apigpu.v1.motion_pb2 import Motion
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun, RawFrames, compile_arguments
from encoder.ffmpeg.errors import IMAGE_DAMAGE
from encoder.kenburns import sampling
from encoder.kenburns.sampling import StillFrames, StillLevel
from encoder.media import stills
from encoder.media.info import Size, VideoStream
from encoder.media.stills import Still
from encoder.operations.deviations import cut_off_notes, gather
from encoder.operations.plan import Plan, PlanContext, container, is_streamable
from servicekit.errors import InvalidArgument

FRAME_RATE = 24.0
DURATION_SECONDS = 5.0
CLIP = Size(1920, 1080)
BACKGROUND = "#000000"
MAX_CLIP_PIXELS = 3840 * 2160
COLOR = re.compile("#[0-9A-Fa-f]{6}")


def plan(request: video_pb2.Img2VidRequest, context: PlanContext) -> Plan:
    """Plan an img2vid task. The clip has round(duration · frame_rate) frames. One run makes the still in the sizes that
    the camera needs; the other encodes what the camera sees."""
    container_options = container(request)
    source = context.source("images.image_url" if request.images else "url_image")
    count, rate = _frame_count(request)
    clip, motion, background = _clip_size(request), _motion(request), _background(request)
    still = stills.prepare(source, context.folder)
    scales = sampling.level_scales(motion, _source_scale(still.video, clip, request.fit))
    sizes = [clip.scaled(scale) for scale in scales]
    grid = sampling.grid(sizes[0])
    levels = [StillLevel(context.folder / f"still{number}.yuv", size, grid) for number, size in enumerate(sizes)]
    picture = _open_still(still)
    if still.video.transparent:
        picture = sampling.flatten_alpha(picture, background)
    fitted = sampling.FITS[request.fit](picture, sampling.FitTarget(sizes[0], clip), background)

    frames = StillFrames(tuple(levels), clip, motion, count, source.field)
    return Plan(
        runs=(
            FfmpegRun(_still_arguments(fitted, levels), (source.field,), "" if source.allow_partial else IMAGE_DAMAGE),
            context.codec.make_run(RawFrames(frames, clip, rate, count), context.output((), container_options)),
        ),
        field=source.field,
        codec=context.codec.name,
        duration_seconds=float(count / rate),
        frames_total=count,
        warnings=(*still.warnings, *gather(cut_off_notes(source, still.info))),
        streamable=is_streamable(request),
    )


def _open_still(still: Still) -> Any:
    """Return the picture of a still in sRGB."""
    if still.video.tiled:
        # FFmpeg turns each tile, and then the whole again; told not to, it still turns the whole: a group of streams.
        picture = filters.open_input(still.name, still.info, noautorotate=None)["g:0"]
    else:
        picture = filters.open_input(still.name, still.info, **still.options)[str(still.video.index)]
    if still.told_tags is not None:
        picture = filters.tag_samples(picture, still.told_tags)
    if still.video.transfer:
        return filters.tone_map(picture, still.video)
    return filters.look_up_colors(picture, still.table) if still.table else picture


def _still_arguments(fitted: Any, levels: list[StillLevel]) -> tuple[str, ...]:
    """Return the arguments of the run that writes the still at each level."""
    parts = fitted.filter_multi_output("split", len(levels)) if len(levels) > 1 else [fitted]
    outputs = [
        ffmpeg.output(
            sampling.to_yuv(parts[n], level.size, level.stored), level.path.name, f="rawvideo", **{"frames:v": "1"}
        )
        for n, level in enumerate(levels)
    ]
    return compile_arguments(ffmpeg.merge_outputs(*outputs))


def _frame_count(request: video_pb2.Img2VidRequest) -> tuple[int, Fraction]:
    """Return the number of frames, and frames a second."""
    if request.images:
        seconds = request.images[0].duracao
    else:
        seconds = request.duration if request.HasField("duration") else DURATION_SECONDS
    rate = request.frame_rate if request.HasField("frame_rate") else FRAME_RATE
    return max(round(seconds * rate), 1), Fraction(rate).limit_denominator(1001)


def _clip_size(request: video_pb2.Img2VidRequest) -> Size:
    clip = Size(request.width or CLIP.width, request.height or CLIP.height)
    for name, side in {"width": clip.width, "height": clip.height}.items():
        if side % 2:
            raise InvalidArgument.field(name, f"{side} is odd, and H.264 takes even sizes; give {side + 1}.")
    if clip.width * clip.height > MAX_CLIP_PIXELS:
        text = f"{clip.width}×{clip.height} pixels are too many; 3840×2160 are the most."
        raise InvalidArgument.field("width", text)
    return clip


def _motion(request: video_pb2.Img2VidRequest) -> Motion:
    own = len(request.images) > 0 and request.images[0].HasField("motion")
    return sampling.complete_motion(request.images[0].motion if own else request.motion)


def _background(request: video_pb2.Img2VidRequest) -> str:
    background = request.background or BACKGROUND
    if not COLOR.fullmatch(background):
        raise InvalidArgument.field("background", f"'{background}' is no color; give one like #202020.")
    return background


def _source_scale(still: VideoStream, clip: Size, fit: int) -> float:
    """Return how many pixels the still has for one of the clip's, whichever way up it is."""
    orientations = ((still.width, still.height), (still.height, still.width))
    choose = min if fit in (motion_pb2.FIT_UNSPECIFIED, motion_pb2.FIT_COVER) else max
    scale = max(choose(width / clip.width, height / clip.height) for width, height in orientations)
    return min(scale, math.sqrt(sampling.MAX_STORED_PIXELS / (clip.width * clip.height)))

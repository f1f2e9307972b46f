"""img2vid: a still as a clip with a slow zoom (Ken Burns), sampled between pixels."""

import re
from fractions import Fraction

from apigpu.v1 import video_pb2
from apigpu.v1.motion_pb2 import Motion
from encoder.ffmpeg.command import RawFrames
from encoder.kenburns import sampling
from encoder.kenburns.sampling import StillFrames
from encoder.media.info import Size, Source
from encoder.operations import still_levels
from encoder.operations.deviations import cut_off_notes, gather
from encoder.operations.plan import Plan, PlanContext, container, is_streamable
from encoder.operations.still_levels import StillView
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
    source = read_source(request, context)
    count, rate = frame_count(request)
    view = read_view(request)
    clip, prepared = view.clip, still_levels.prepare(source, context.folder, view)
    frames = StillFrames(prepared.levels, clip, view.motion, count, source.field)
    return Plan(
        runs=(
            prepared.run,
            context.codec.make_run(RawFrames(frames, clip, rate, count), context.output((), container_options)),
        ),
        field=source.field,
        codec=context.codec.name,
        duration_seconds=float(count / rate),
        frames_total=count,
        warnings=(*prepared.still.warnings, *gather(cut_off_notes(source, prepared.still.info))),
        streamable=is_streamable(request),
        size=clip,
    )


def read_source(request: video_pb2.Img2VidRequest, context: PlanContext) -> Source:
    """Return the still of a request. Raises InvalidArgument."""
    return context.source("images.image_url" if request.images else "url_image")


def read_view(request: video_pb2.Img2VidRequest) -> StillView:
    """Return how the still of a request is seen. Raises InvalidArgument."""
    return StillView(_clip_size(request), _motion(request), request.fit, check_background(request.background))


def frame_count(request: video_pb2.Img2VidRequest) -> tuple[int, Fraction]:
    """Return the number of frames, and frames a second."""
    if request.images:
        seconds = request.images[0].duracao
    else:
        seconds = request.duration if request.HasField("duration") else DURATION_SECONDS
    rate = request.frame_rate if request.HasField("frame_rate") else FRAME_RATE
    return max(round(seconds * rate), 1), Fraction(rate).limit_denominator(1001)


def check_clip_size(clip: Size) -> Size:
    """Return the size of a result. Raises InvalidArgument for one that H.264 does not take, or that is too large."""
    for name, side in {"width": clip.width, "height": clip.height}.items():
        if side % 2:
            raise InvalidArgument.field(name, f"{side} is odd, and H.264 takes even sizes; give {side + 1}.")
    if clip.width * clip.height > MAX_CLIP_PIXELS:
        text = f"{clip.width}×{clip.height} pixels are too many; 3840×2160 are the most."
        raise InvalidArgument.field("width", text)
    return clip


def _clip_size(request: video_pb2.Img2VidRequest) -> Size:
    return check_clip_size(Size(request.width or CLIP.width, request.height or CLIP.height))


def _motion(request: video_pb2.Img2VidRequest) -> Motion:
    own = len(request.images) > 0 and request.images[0].HasField("motion")
    return sampling.complete_motion(request.images[0].motion if own else request.motion)


def check_background(color: str) -> str:
    """Return a background, black when none is given. Raises InvalidArgument for what is no color."""
    background = color or BACKGROUND
    if not COLOR.fullmatch(background):
        raise InvalidArgument.field("background", f"'{background}' is no color; give one like #202020.")
    return background

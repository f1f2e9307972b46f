"""img2vid: a still as a clip of 1920×1080 with a slow zoom about its centre (Ken Burns)."""

import math
from fractions import Fraction

import ffmpeg

from apigpu.v1 import video_pb2
from encoder import filters, media
from encoder.faults import IMAGE_CUT_OFF
from encoder.operations.output import MP4
from encoder.plan import Materials, Pass, Plan
from rpc.errors import InvalidArgument

FRAME_RATE = 24.0
DURATION_SECONDS = 5.0
RATES = (1.0, 60.0)
DURATIONS = (0.1, 600.0)


def plan(request: video_pb2.Img2VidRequest, materials: Materials) -> Plan:
    """See Operation. The clip has round(duration · frame_rate) frames; the still fills the picture, the rest is cut."""
    batch = len(request.images) > 0
    source = materials.source("images.image_url" if batch else "url_image")
    seconds = (
        request.images[0].duracao if batch else request.duration if request.HasField("duration") else DURATION_SECONDS
    )
    rate = request.frame_rate if request.HasField("frame_rate") else FRAME_RATE
    _within("images.duracao" if batch else "duration", seconds, DURATIONS)
    _within("frame_rate", rate, RATES)
    frames = max(round(seconds * rate), 1)
    exact_rate = Fraction(rate).limit_denominator(1001)
    info, still = media.probe_image(source)
    given = filters.opened(source.path.name, info)[str(still.index)]
    opaque = filters.over_black(given) if still.transparent else given
    picture = filters.ken_burns(opaque, frames, exact_rate, materials.codec.pixel_format)
    options = {"r": str(exact_rate), "frames:v": str(frames), **materials.codec.arguments(materials.threads), **MP4}
    arguments = tuple(ffmpeg.output(picture, materials.result, **options).compile(cmd="")[1:])
    return Plan(
        passes=(Pass(arguments, (source.field,), IMAGE_CUT_OFF),),
        codec=materials.codec.name,
        duration_seconds=float(frames / exact_rate),
        frames_total=frames,
    )


def _within(field: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not (math.isfinite(value) and low <= value <= high):
        text = f"{value:g} is out of range; give {low:g} to {high:g}."
        raise InvalidArgument(f"{field}: {text}", fields={field: text})

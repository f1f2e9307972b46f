"""addaudio: a soundtrack on a video, in place of its own; the result is as long as the shorter of the two."""

from typing import Any

import ffmpeg

from apigpu.v1 import video_pb2
from encoder import filters, media
from encoder.operations.output import AAC, MP4
from encoder.plan import COPY, Materials, MediaInfo, Plan, Source, VideoStream

# Copied as they are; anything else is made H.264. Names of PyAV's decoders.
COPIED_CODECS = ("h264", "hevc", "av1", "libdav1d", "mpeg4")
COPIED_FORMATS = ("yuv420p", "yuvj420p", "yuv420p10le")


def plan(request: video_pb2.AddAudioRequest, materials: Materials) -> Plan:
    """See Operation. A copied video that is cut ends at the last frame that needs none after the cut."""
    picture, sound = materials.source("url_video"), materials.source("url_audio")
    info, video = media.probe_video(picture)
    heard_info, heard = media.probe_audio(sound)
    video_end = media.end_seconds(picture, info, video)
    seconds = min(video_end, media.end_seconds(sound, heard_info, heard))
    if seconds <= 0:
        raise media.fault(sound, "there is no sound in it; give audio that is longer.")
    copied = video.codec in COPIED_CODECS and video.pixel_format in COPIED_FORMATS
    given = filters.opened(picture.path.name, info)[str(video.index)]
    shown, options = _copied(picture, info, video, seconds, given) if copied else _encoded(materials, given)
    heard_stream = filters.opened(sound.path.name, heard_info)[str(heard.index)]
    built = ffmpeg.output(shown, heard_stream, materials.result, t=f"{seconds:.6f}", **options, **AAC, **MP4)
    return Plan(
        arguments=tuple(built.compile(cmd="")[1:]),
        fields=(picture.field, sound.field),
        codec=COPY if copied else materials.codec.name,
        duration_seconds=seconds,
        frames_total=round(video.frames * min(seconds / video_end, 1)) if video_end else 0,
    )


def _copied(
    source: Source, info: MediaInfo, video: VideoStream, seconds: float, given: Any
) -> tuple[Any, dict[str, str]]:
    options = {"c:v": "copy"}
    if video.codec == "hevc":
        options["tag:v"] = "hvc1"  # Apple's players know no other
    return given, options | {"frames:v": str(media.frames_before(source, info, video, seconds))}


def _encoded(materials: Materials, given: Any) -> tuple[Any, dict[str, str]]:
    timing = {"fps_mode:v": "passthrough", "enc_time_base:v": "demux"}
    picture = filters.even(given).filter("format", materials.codec.pixel_format)
    return picture, {**materials.codec.arguments(), **timing}

"""addaudio: a soundtrack on a video, in place of its own; the result is as long as the shorter of the two."""

from typing import Any

import ffmpeg

from apigpu.v1 import video_pb2
from encoder import filters, media
from encoder.operations.output import AAC, MP4, not_yet
from encoder.plan import COPY, Materials, MediaInfo, Pass, Plan, VideoStream

# What is copied as it is; anything else is made H.264. AVI and MPEG-PS do not time every packet, and MP4 must.
COPIED_CODECS = ("h264", "hevc", "av1", "mpeg4")
COPIED_FORMATS = ("yuv420p", "yuvj420p")
COPIED_FROM = ("mov", "matroska", "mpegts", "flv")


def plan(request: video_pb2.AddAudioRequest, materials: Materials) -> Plan:
    """See Operation. A copied video that is cut ends at the last frame that needs none after the cut."""
    not_yet(request, "soundtrack", "container")
    picture, sound = materials.source("url_video"), materials.source("url_audio")
    info, video = media.probe_video(picture)
    heard_info, heard = media.probe_audio(sound)
    video_end = media.end_seconds(picture, info, video)
    seconds = min(video_end, media.end_seconds(sound, heard_info, heard))
    if seconds <= 0:
        raise media.fault(sound, "there is no sound in it; give audio that is longer.")
    given = filters.opened(picture.path.name, info)
    copied = _can_be_copied(info, video)
    if copied:
        frames = media.frames_before(picture, info, video, seconds) if seconds < video_end else 0
        shown, options = given[str(video.index)], _copied(video, frames)
    else:
        shown, options = _encoded(materials, filters.picture(given, info, video))
    heard_stream = filters.opened(sound.path.name, heard_info)[str(heard.index)]
    built = ffmpeg.output(shown, heard_stream, materials.result, t=f"{seconds:.6f}", **options, **AAC, **MP4)
    return Plan(
        passes=(Pass(tuple(built.compile(cmd="")[1:]), (picture.field, sound.field)),),
        codec=COPY if copied else materials.codec.name,
        duration_seconds=seconds,
        frames_total=round(video.frames * min(seconds / video_end, 1)) if video_end else 0,
    )


def _can_be_copied(info: MediaInfo, video: VideoStream) -> bool:
    known = video.codec in COPIED_CODECS and video.pixel_format in COPIED_FORMATS
    return known and info.demuxer in COPIED_FROM


def _copied(video: VideoStream, frames: int) -> dict[str, str]:
    """Options that copy the video, or its first `frames` packets; all of them when that is 0."""
    options = {"c:v": "copy"}
    if video.codec == "hevc":
        options["tag:v"] = "hvc1"  # Apple's players know no other
    return options | ({"frames:v": str(frames)} if frames else {})


def _encoded(materials: Materials, picture: Any) -> tuple[Any, dict[str, str]]:
    timing = {"fps_mode:v": "passthrough", "enc_time_base:v": "demux"}
    shown = picture.filter("format", materials.codec.pixel_format)
    return shown, {**materials.codec.arguments(materials.threads), **timing}

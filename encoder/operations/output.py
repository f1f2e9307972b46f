"""The containers and audio codecs of results."""

from collections.abc import Mapping, Sequence
from typing import Any

from apigpu.v1 import video_pb2
from encoder.media.info import AudioStream, VideoStream
from servicekit.errors import InvalidArgument

MP4: Mapping[str, str] = {"f": "mp4", "movflags": "+faststart"}
# Fragments of a second at most, each whole when it is written. The index waits for the first one, as the edit lists,
# which keep sound and picture together, are not known before.
FRAGMENTED: Mapping[str, str] = {
    "f": "mp4",
    "movflags": "+empty_moov+delay_moov+default_base_moof+frag_keyframe",
    "frag_duration": "1000000",
}
CONTAINERS = {
    video_pb2.CONTAINER_UNSPECIFIED: MP4,
    video_pb2.CONTAINER_MP4: MP4,
    video_pb2.CONTAINER_FRAGMENTED_MP4: FRAGMENTED,
}
# The coder `fast` takes half the time of the default; at this rate its noise is level, held against what the ear masks.
AAC: Mapping[str, str] = {"c:a": "aac", "b:a": "192k", "aac_coder": "fast"}
# What MP4 can hold and players of MP4 can be expected to play.
MP4_AUDIO = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
# Video that is copied: what MP4 can hold and players of MP4 can be expected to play. Anything else is made H.264.
COPIED_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")
# Hz: MP4 has no name for the slower rates of MP3.
MIN_MP3_RATE = 16_000


def kept_audio(streams: Sequence[AudioStream]) -> dict[str, str]:
    """Return options that copy each audio stream where MP4 can hold it, and make it AAC where not."""
    options: dict[str, str] = {}
    for number, stream in enumerate(streams):
        copied = stream.codec in MP4_AUDIO and (stream.codec != "mp3" or stream.sample_rate >= MIN_MP3_RATE)
        options[f"c:a:{number}"] = "copy" if copied else AAC["c:a"]
        if not copied:
            options |= {f"b:a:{number}": AAC["b:a"], f"aac_coder:a:{number}": AAC["aac_coder"]}
    return options


def copy_video(video: VideoStream) -> dict[str, str]:
    """Return options that copy the video."""
    # Apple's players know no other tag of HEVC.
    return {"c:v": "copy"} | ({"tag:v": "hvc1"} if video.codec == "hevc" else {})


def container(request: Any) -> Mapping[str, str]:
    """Return options that write the requested container. Raises InvalidArgument for one that is not known."""
    if request.container not in CONTAINERS:
        text = f"{request.container} is not known; give one of {', '.join(video_pb2.Container.keys())}."
        raise InvalidArgument.field("container", text)
    return CONTAINERS[request.container]


def is_streamable(request: Any) -> bool:
    """Return True if the file can be sent while it is written."""
    return container(request) is FRAGMENTED

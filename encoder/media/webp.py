"""Animated WebP, by its header: the libraries that probe know only stills of it, FFmpeg decodes both.

Source: WebP Container Specification, "Extended File Format".
"""

from fractions import Fraction

from encoder.operations.plan import MediaInfo, VideoStream

DEMUXER = "webp_anim"
ANIMATION, ALPHA = 0x02, 0x10


def describe_animation(head: bytes) -> MediaInfo | None:
    """The first frame of a file that begins with `head` (30 bytes suffice); None when it is no animated WebP."""
    if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or len(head) < 30 or not head[20] & ANIMATION:
        return None
    width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    stream = VideoStream(
        index=0,
        codec="webp",
        width=width,
        height=height,
        rotation_degrees=0,
        pixel_aspect=Fraction(1),
        frame_rate=Fraction(0),
        frames=1,
        duration_seconds=0.0,
        transparent=bool(head[20] & ALPHA),
    )
    return MediaInfo(DEMUXER, 0.0, stream, ())

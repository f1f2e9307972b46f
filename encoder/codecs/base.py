"""What a codec must offer: the seam between operations and the way the video is compressed."""

from collections.abc import Mapping
from typing import Protocol


class Codec(Protocol):
    """Makes H.264 out of frames that FFmpeg filtered."""

    name: str
    """Name in Summary.codec and GetCapabilities: "x264"."""
    format: str
    """What it makes: "h264"."""
    pixel_format: str
    """Pixel format that the filters must hand it, by FFmpeg's name."""

    def arguments(self, threads: int) -> Mapping[str, str]:
        """Output options of FFmpeg, without the leading dash, for an encode that may keep `threads` threads busy."""
        ...

"""What a codec must offer: the seam between operations and the way the video is compressed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from encoder.codecs.card import Card
from encoder.ffmpeg.command import FfmpegRun, OutputSpec, VideoFrames
from servicekit.errors import Unavailable

# Every frame keeps the timestamp that it came with, whatever the frame rate on paper.
AS_TIMED: Mapping[str, str] = {"fps_mode:v": "passthrough", "enc_time_base:v": "demux"}

Query = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]
"""Runs FFmpeg with some arguments; returns its return code and output."""


class CodecFault(Unavailable):
    """The codec failed, not the input. The runner falls back to the next codec."""


class Codec(Protocol):
    """Compresses video."""

    @property
    def name(self) -> str:
        """Name in Summary.codec and GetCapabilities: "x264"."""

    @property
    def format(self) -> str:
        """Format of the bitstream: "h264"."""

    @property
    def device(self) -> str:
        """Name of the hardware that it runs on; "" for the processor."""

    @property
    def cards(self) -> Sequence[Card]:
        """The cards that it found, those too that are of no use."""

    @property
    def simpler(self) -> "Codec | None":
        """The same with less of its hardware, to be tried when it fails; None when there is no such."""

    async def find_fault(self, query: Query) -> str:
        """Return why it does not work on this machine; "" when it does."""

    def make_run(self, frames: VideoFrames, output: OutputSpec) -> FfmpegRun:
        """Return the run that makes the result. It raises CodecFault where another codec might do."""

    async def close(self) -> None:
        """Release what it holds. No run of its may be left."""


@dataclass(frozen=True)
class CodecChoice:
    """A codec that a task may use, and why it is this one: for people."""

    codec: Codec
    reason: str

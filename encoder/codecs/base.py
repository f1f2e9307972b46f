"""What a codec must offer: the seam between operations and the way the video is compressed."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import ffmpeg

from encoder.codecs.card import Card
from encoder.ffmpeg.command import FfmpegRun, Stdin, compiled, fields_of
from encoder.kenburns.camera import Size
from encoder.media.color import HD, ColorTags
from servicekit.errors import Unavailable

# Every frame keeps the timestamp that it came with, whatever the frame rate on paper.
AS_TIMED: Mapping[str, str] = {"fps_mode:v": "passthrough", "enc_time_base:v": "demux"}


SQUARE = Fraction(1)


class CodecFault(Unavailable):
    """The codec is at fault, not the input: another one may do."""


@dataclass(frozen=True)
class FilteredFrames:
    """Frames that FFmpeg decodes and filters: a stream of ffmpeg-python with the times to keep. `taken` are all streams
    of its file that the result takes: FFmpeg counts time from where the first of them begins. `colours` and
    `pixel_aspect` (width by height of a pixel) are those of the filtered frames; `frame_rate` is on paper, 0 where it
    is not known."""

    stream: Any
    taken: Sequence[Any]
    colours: ColorTags
    pixel_aspect: Fraction
    frame_rate: Fraction


@dataclass(frozen=True)
class RawFrames:
    """`count` frames that are made here, at a constant rate: yuv420p of `size`."""

    frames: Callable[[], Iterator[memoryview]]
    size: Size
    frame_rate: Fraction
    count: int
    colours: ColorTags = HD
    pixel_aspect: Fraction = SQUARE


Picture = FilteredFrames | RawFrames


@dataclass(frozen=True)
class OutputSpec:
    """What comes with the picture: streams of sound, output options of FFmpeg (of sound and container) without the
    leading dash, the result's path, the field of each input by its file's name, threads to keep busy."""

    sound: Sequence[Any]
    options: Mapping[str, str]
    result: str
    names: Mapping[str, str]
    threads: int

    def run(
        self, shown: Any, options: Mapping[str, str], stdin: Stdin | None = None, beside: Sequence[Any] = ()
    ) -> FfmpegRun:
        """The run that puts all together with a stream of the picture, which `options` (of the output) are for; see
        `reading` for `beside`."""
        output = ffmpeg.output(shown, *self.sound, self.result, **options, **self.options)
        return self.reading(output, beside, stdin)

    def reading(self, output: Any, beside: Sequence[Any], stdin: Stdin | None = None) -> FfmpegRun:
        """The run that writes an output of ffmpeg-python, and reads streams beside what that needs."""
        idle = [ffmpeg.output(*beside, "-", f="null", c="copy")] if beside else []
        arguments = compiled(ffmpeg.merge_outputs(output, *idle))
        return FfmpegRun(arguments, fields_of(arguments, self.names), stdin=stdin)


Ask = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]
"""Runs FFmpeg for an answer: return code and output."""


class Codec(Protocol):
    """Compresses video."""

    name: str
    """Name in Summary.codec and GetCapabilities: "x264"."""

    @property
    def format(self) -> str:
        """What it makes: "h264"."""
        ...

    @property
    def device(self) -> str:
        """What it runs on, by name; "" for the processor."""
        ...

    @property
    def cards(self) -> Sequence[Card]:
        """The cards that it found, those too that are of no use."""
        ...

    @property
    def simpler(self) -> "Codec | None":
        """The same with less of its hardware, to be tried when it fails; None when there is no such."""
        ...

    async def fault(self, ask: Ask) -> str:
        """Why it does not work on this machine; "" when it does."""
        ...

    def step(self, picture: Picture, around: OutputSpec) -> FfmpegRun:
        """The run that makes the result. It raises CodecFault where another codec might do."""
        ...

    async def close(self) -> None:
        """Let go of what it holds. No run of its may be left."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A codec that a task may have, and why it is this one: for people."""

    codec: Codec
    reason: str

    def instead(self, reason: str) -> "Candidate":
        """The same, for another reason."""
        return Candidate(self.codec, reason)

"""The FFmpeg runs that a plan is made of: frames in, output out, and what writes to their standard input."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import ffmpeg

from encoder.ffmpeg.errors import CUT_OFF
from encoder.media.info import HD, ColorTags, Size

if TYPE_CHECKING:
    from encoder.ffmpeg.process import FfmpegProcess

SQUARE = Fraction(1)
# Times of a container are the same as far apart as this.
SAME_SECONDS = 0.0005
# In place of a codec's name: the video is not encoded.
COPY = "copy"


class StdinWriter(Protocol):
    """Writes to the standard input of a run, beside it."""

    reading: int
    """File descriptor for the run to read from, once it is open."""

    async def open(self, spawn: "Spawn") -> None:
        """Open `reading`; runs that it needs beside it are started by `spawn`. `close` must follow, also when this
        fails."""

    def start(self) -> None:
        """Begin to write: the run has its end of the pipe."""

    async def finish(self) -> None:
        """Wait until all is written, or the run takes no more. Raises what kept it from writing."""

    async def close(self) -> None:
        """Stop at once. The run must be gone."""


Spawn = Callable[["FfmpegRun", int, "StdinWriter | None"], Awaitable["FfmpegProcess"]]
"""Starts a run whose standard output is a file descriptor, and which is written to by what was opened for it, where the
others of the task run; it must be killed."""

MakeWriter = Callable[[], StdinWriter]


@dataclass(frozen=True)
class FfmpegRun:
    """One FFmpeg run. `arguments` is all that follows the binary; `fields` are the inputs in FFmpeg's order, "" for one
    that is no field of the request; `cut_off_signs` is a pattern in the messages of a run that ends well although an
    input ends early; "" where such an input is taken as it is. `stdin` makes what writes to its standard input. With
    `devices`, be they none, it may load the driver of a graphics card, and use these device files. The files that it
    `keeps`, by their names in the task's folder, follow from its inputs and its arguments, and may be kept for another
    task."""

    arguments: tuple[str, ...]
    fields: tuple[str, ...]
    cut_off_signs: str = CUT_OFF
    stdin: MakeWriter | None = None
    devices: tuple[Path, ...] | None = None
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True)
class LastFrame:
    """When the last frame begins, and until when it is shown, in seconds."""

    begins: float
    until: float


def frame_length(unknown_seconds: float, last: LastFrame | None) -> str:
    """Return options of the bitstream filter `setts` that give a frame its length, where it has none
    `unknown_seconds`; that of the last frame is as `last` says, and none is shown longer."""
    length = f"DURATION+not(DURATION)*{unknown_seconds:.9f}/TB"
    if last is None:
        return f"duration={length}"
    rest = f"{last.until:.6f}/TB-PTS"
    is_last = f"gte(PTS*TB\\,{last.begins - SAME_SECONDS:.6f})"
    return f"duration=if({is_last}\\,{rest}\\,min({length}\\,{rest}))"


@dataclass(frozen=True)
class TrackFit:
    """What video keeps to that is to stand in one track with packets of another encoder: the number of its parameter
    sets, the name of its profile, ten times its level, the most pictures that are kept to predict from, and the most
    that are decoded before one that is shown earlier; its format by FFmpeg's name, and whether it may be of the high
    tier of H.265."""

    number: int
    profile: str
    level: int
    references: int
    reordered: int
    form: str = "h264"
    is_high_tier: bool = False


def compile_arguments(output: Any) -> tuple[str, ...]:
    """Return the arguments that an output of ffmpeg-python stands for."""
    return tuple(output.compile(cmd="")[1:])


@dataclass(frozen=True)
class FilteredFrames:
    """Frames that FFmpeg decodes and filters: a stream of ffmpeg-python with the times to keep. `inputs` are all
    streams of its file that the result takes: FFmpeg counts time from where the first of them begins. `size`,
    `color_tags` and `pixel_aspect` (width by height of a pixel) are those of the filtered frames; `frame_rate` is
    nominal, 0 where it is not known. `last` is told where frames were put between those of the file. What the graph
    reads as pipe:0 is written by what `stdin` makes. Frames that are `constant` come at the frame rate, each one; those
    of a `steady` picture without a cut. Whether prediction is `weighted` is written into the parameters of a track.
    With `key_frames` pictures that need no other are so many frames apart at the most. With a `fit` they come to stand
    between packets that are copied."""

    stream: Any
    inputs: Sequence[Any]
    size: Size
    color_tags: ColorTags
    pixel_aspect: Fraction
    frame_rate: Fraction
    last: LastFrame | None = None
    stdin: MakeWriter | None = None
    constant: bool = False
    steady: bool = False
    weighted: bool = True
    key_frames: int = 0
    fit: TrackFit | None = None

    @property
    def timing(self) -> dict[str, str]:
        """Options by which every frame keeps the timestamp that it came with, whatever the frame rate on paper."""
        if self.constant:  # the clock of the encoder is then that of the rate
            return {"fps_mode:v": "passthrough"}
        return {"fps_mode:v": "passthrough", "enc_time_base:v": "filter" if self.last else "demux"}


@dataclass(frozen=True)
class RawFrames:
    """`count` frames that are generated here, at a constant rate: yuv420p of `size`."""

    frames: Callable[[], Iterator[memoryview]]
    size: Size
    frame_rate: Fraction
    count: int
    color_tags: ColorTags = HD
    pixel_aspect: Fraction = SQUARE


VideoFrames = FilteredFrames | RawFrames


@dataclass(frozen=True)
class OutputSpec:
    """What comes with the picture: streams of audio, output options of FFmpeg (of audio and container) without the
    leading dash, None for one without a value, the result's path, the field of each input by its file's name, threads
    to keep busy; and the names of the files whose tags and whose chapters the result has, "" for none. `cut_off_signs`
    are those of its runs."""

    audio: Sequence[Any]
    options: Mapping[str, str | None]
    result: str
    field_names: Mapping[str, str]
    threads: int
    tags_of: str = ""
    chapters_of: str = ""
    cut_off_signs: str = CUT_OFF

    def run(
        self, video: Any, options: Mapping[str, str], stdin: MakeWriter | None = None, beside: Sequence[Any] = ()
    ) -> FfmpegRun:
        """Return the run that puts all together with a stream of the picture, which `options` (of the output) are for;
        see `run_reading` for `beside`."""
        output = ffmpeg.output(video, *self.audio, self.result, **options, **self.options)
        run = self.run_reading(output, beside, stdin)
        return replace(run, arguments=self._described(run.arguments))

    def _described(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Return the arguments of a run with those that say whose tags and chapters the result has: FFmpeg would take
        chapters of whichever input has some."""
        names = [name for option, name in pairwise(arguments) if option == "-i"]
        tags, chapters = (
            str(names.index(name)) if name in names else "-1" for name in (self.tags_of, self.chapters_of)
        )
        place = arguments.index(self.result)
        described = ("-map_metadata", tags, "-map_chapters", chapters)
        return (*arguments[:place], *described, *arguments[place:])

    def run_reading(self, output: Any, beside: Sequence[Any], stdin: MakeWriter | None = None) -> FfmpegRun:
        """Return the run that writes an output of ffmpeg-python, and reads streams beside those that it needs."""
        idle = [ffmpeg.output(*beside, "-", f="null", c="copy")] if beside else []
        arguments = compile_arguments(ffmpeg.merge_outputs(output, *idle))
        fields = [self.field_names.get(name, "") for option, name in pairwise(arguments) if option == "-i"]
        return FfmpegRun(arguments, tuple(fields), self.cut_off_signs, stdin)


@dataclass(frozen=True)
class ExtraFile:
    """A further result, which the runs write to `path`: its file name and MIME type."""

    name: str
    content_type: str

    def path(self, result: Path) -> Path:
        """Return where it is written to, beside the first result."""
        # By an ending FFmpeg's libraries would take an image for one of a numbered series.
        return result.with_name(self.name.replace(".", "-"))

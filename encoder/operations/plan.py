"""What is known of an input, and what is to be done: plain values that tests can build by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from encoder.captions.fonts import Library
from encoder.codecs.base import Codec, OutputSpec
from encoder.ffmpeg.command import FfmpegRun
from encoder.media.color import UNKNOWN, ColorTags
from servicekit.errors import InvalidArgument

COPY = "copy"
MP4_TYPE = "video/mp4"


@dataclass(frozen=True)
class VideoStream:
    """The first moving picture of a file. Sizes are in pixels as stored, before rotation; `decodes` tells
    whether its beginning could be decoded; `transfer` is its curve of high dynamic range by FFmpeg's name, "" for any
    other; `interlaced` is of its first picture; `rgb` of pictures without colour planes; `tiled` of a still that FFmpeg
    puts together of several streams."""

    index: int
    codec: str
    width: int
    height: int
    rotation_degrees: int
    pixel_aspect: Fraction
    frame_rate: Fraction
    frames: int
    duration_seconds: float
    transparent: bool
    decodes: bool = True
    colours: ColorTags = UNKNOWN
    transfer: str = ""
    interlaced: bool = False
    rgb: bool = False
    tiled: bool = False

    @property
    def specifier(self) -> str:
        """Which stream of the file it is, in FFmpeg's words; tiles are its first group of streams."""
        return "g:0" if self.tiled else str(self.index)

    @property
    def turned_size(self) -> tuple[int, int]:
        """Width and height after rotation, in stored pixels."""
        return (self.height, self.width) if self.rotation_degrees % 180 else (self.width, self.height)

    @property
    def turned_aspect(self) -> Fraction:
        """Width of a pixel by its height, after rotation."""
        return 1 / self.pixel_aspect if self.rotation_degrees % 180 else self.pixel_aspect


@dataclass(frozen=True)
class AudioStream:
    """One audio stream; `duration_seconds`, `bit_rate` in bit/s, and `sample_rate` in Hz are 0 where the file does not
    tell, and `language` (ISO 639-2, three letters) is "" then."""

    index: int
    codec: str
    duration_seconds: float
    bit_rate: int
    sample_rate: int
    language: str = ""


@dataclass(frozen=True)
class MediaInfo:
    """A probed file. `demuxer` is what FFmpeg must be told to use (`-f`), `subtitles` the number of such tracks,
    `start_seconds` the time at its start by its own clock."""

    demuxer: str
    duration_seconds: float
    video: VideoStream | None
    audio: tuple[AudioStream, ...]
    subtitles: int = 0
    start_seconds: float = 0.0


@dataclass(frozen=True)
class Source:
    """An input that has arrived. `field` is the field of the request that it belongs to."""

    field: str
    path: Path


@dataclass(frozen=True)
class PlanWarning:
    """Something about a result that is not as was asked, though it could be made: see Warning in video.proto."""

    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanContext:
    """What an operation works with. FFmpeg runs in `folder`, and names suffice there. `threads` is how many the task
    should keep busy."""

    sources: Mapping[str, Source]
    folder: Path
    result: str
    codec: Codec
    threads: int
    fonts: Library

    def around(self, sound: Sequence[Any], options: Mapping[str, str]) -> OutputSpec:
        """What comes with the picture that makes the result."""
        # Of a source that several fields name, the first one is blamed.
        names = {source.path.name: field for field, source in reversed(list(self.sources.items()))}
        return OutputSpec(sound, options, self.result, names, self.threads)

    def listed(self, field: str, count: int) -> list[Source]:
        """Return the inputs of the elements of a repeated field. Raises InvalidArgument for one that is missing."""
        return [self.source(f"{field}[{index}]") for index in range(count)]

    def source(self, field: str) -> Source:
        """The input of a field. Raises InvalidArgument when the task came without it."""
        if field not in self.sources:
            raise InvalidArgument(f"{field}: the task has no such input.", fields={field: "is missing"})
        return self.sources[field]


@dataclass(frozen=True)
class ExtraFile:
    """A further result, which the runs write to `path`: its file name and MIME type."""

    name: str
    content_type: str

    def path(self, result: Path) -> Path:
        """Return where it is written to, beside the first result."""
        # By an ending FFmpeg's libraries would take an image for one of a numbered series.
        return result.with_name(self.name.replace(".", "-"))


@dataclass(frozen=True)
class Plan:
    """FFmpeg runs, one after the other; one is made once those before are done, where it follows from them. The last
    makes the result, and its frames are the progress. `field` is to blame when the result is not as it should be.
    `codec` is what made the video, or COPY. `finish` is called with the finished file, to change it in place; may
    block. Of a result that `flows` no byte changes once it is written. `heard` is the field whose sound the result must
    have, "" where it may be silent. `content_type` is what the result is, and `files` are what comes beside it."""

    passes: tuple[FfmpegRun | Callable[[], FfmpegRun], ...]
    field: str
    codec: str
    duration_seconds: float
    frames_total: int
    warnings: tuple[PlanWarning, ...] = ()
    finish: Callable[[Path], None] | None = None
    flows: bool = False
    heard: str = ""
    content_type: str = MP4_TYPE
    files: tuple[ExtraFile, ...] = ()


Operation = Callable[[Any, PlanContext], Plan]
"""Plans the runs for its request message; raises ServiceError for inputs that it cannot work with. May block: it reads
the inputs. The runs must write the result, of the type that the plan names, to `PlanContext.result`."""

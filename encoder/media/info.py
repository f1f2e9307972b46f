"""What is known of a media file: plain values that tests can build by hand."""

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from apigpu.v1 import probe_pb2
from servicekit.errors import InvalidArgument

UNSPECIFIED = 2
PROTECTED_TEXT = "the file is protected from copying (DRM, encrypted); give one that plays without a key."
CUT_OFF_TEXT = "the file is cut off; send it whole, or set allow_partial to have what is there."
# Demuxers of pictures that move, which have a ground of no color.
ANIMATIONS = ("gif", "apng", "webp_anim")


@dataclass(frozen=True)
class ColorTags:
    """Primaries, transfer and matrix by their numbers in ITU-T H.273 (tables 2 to 4); black is 16, or 0 of a picture of
    full range."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool = False


UNKNOWN = ColorTags()
HD = ColorTags(1, 1, 1)


@dataclass(frozen=True)
class Size:
    """Pixels across and down, both even."""

    width: int
    height: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame in yuv420p."""
        return self.width * self.height * 3 // 2

    def scaled(self, factor: float) -> "Size":
        """Return this size multiplied by the factor, to the nearest even pixel."""
        return Size(round(self.width * factor / 2) * 2, round(self.height * factor / 2) * 2)


@dataclass(frozen=True)
class VideoStream:
    """The video stream of a file that counts; it is no cover picture.

    Sizes are in stored pixels, before rotation; `display_matrix` tells how it is turned and mirrored, nothing where it
    is not. `decodes` is False where the beginning could not be decoded; `transfer`
    is its curve of high dynamic range by FFmpeg's name, "" for any other; `interlaced` is that of its first picture;
    `rgb` is True of pictures without color planes, `tiled` of a still that FFmpeg puts together of several streams.
    Where pictures change their size in mid-file, `sizes` are those that they have, and width and height are what all of
    them are fitted into. One `is_steady` whose index was seen to be short, and that no picture stands long by it.
    `start_seconds` counts from the start of the file, by the clock of all its streams.
    """

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
    color_tags: ColorTags = UNKNOWN
    transfer: str = ""
    interlaced: bool = False
    rgb: bool = False
    tiled: bool = False
    display_matrix: tuple[int, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    is_steady: bool = False
    start_seconds: float = 0.0

    @property
    def rotated_size(self) -> tuple[int, int]:
        """Width and height after rotation, in stored pixels."""
        return (self.height, self.width) if self.rotation_degrees % 180 else (self.width, self.height)

    @property
    def rotated_aspect(self) -> Fraction:
        """Width of a pixel by its height, after rotation."""
        return 1 / self.pixel_aspect if self.rotation_degrees % 180 else self.pixel_aspect


@dataclass(frozen=True)
class AudioStream:
    """One audio stream. `duration_seconds`, `bit_rate` in bit/s, `sample_rate` in Hz and the number of `channels` are 0
    where the file does not say, and `language` (ISO 639-2, three letters) is "". `layout` is FFmpeg's name of its
    channels together ("5.1", "12 channels"), `places` is that of each ("FL"; "NONE" where the file does not say). It
    `is_secondary` where it is a comment, a description, or music without the voices."""

    index: int
    codec: str
    duration_seconds: float
    bit_rate: int
    sample_rate: int
    language: str = ""
    channels: int = 0
    layout: str = ""
    places: tuple[str, ...] = ()
    is_default: bool = False
    is_secondary: bool = False


Stream = VideoStream | AudioStream
# Of a file: its first byte, and the byte behind its last.
Range = tuple[int, int]


@dataclass(frozen=True)
class MediaInfo:
    """A probed file. `demuxer` is what FFmpeg must be told to use (`-f`), `subtitles` the number of such tracks,
    `start_seconds` the time at its start by its own clock. `audio` are the streams of sound that go with the video,
    `other_videos` further videos, told for people, and `unreadable_audio` the indices of streams of sound that cannot
    be decoded. The file `is_cut_off` where it ends before it should; lengths that are `is_counted` are those of what is
    there."""

    demuxer: str
    duration_seconds: float
    video: VideoStream | None
    audio: tuple[AudioStream, ...]
    subtitles: int = 0
    start_seconds: float = 0.0
    other_videos: tuple[str, ...] = ()
    unreadable_audio: tuple[int, ...] = ()
    is_cut_off: bool = False
    is_counted: bool = False

    @property
    def sound(self) -> AudioStream | None:
        """The stream of sound that is heard where only one can be: the file's default, else the one with the most
        channels, else the first."""
        return min(
            self.audio, key=lambda stream: (not stream.is_default, stream.is_secondary, -stream.channels), default=None
        )


@dataclass(frozen=True)
class Source:
    """An input that has arrived. `field` is the field of the request that it belongs to; `charset` is what the server
    that it came from, or who uploaded it, calls its encoding; `allow_partial` has what is there of it taken, where it
    is cut off. Of one that `is_outline` only the head and the tail have come, with zeros between them. `sha256` is that
    of one that has come whole, where it was held against it. What it is found to be is `noted` with that of others, by
    their fields, where anybody wants to know."""

    field: str
    path: Path
    charset: str = ""
    allow_partial: bool = False
    is_outline: bool = False
    sha256: str = ""
    noted: dict[str, probe_pb2.MediaFacts] | None = dataclasses.field(default=None, compare=False, repr=False)


def bad_input(source: Source, text: str) -> InvalidArgument:
    """Return the error of an input that cannot be used."""
    return InvalidArgument.field(source.field, text, reason="BAD_INPUT")

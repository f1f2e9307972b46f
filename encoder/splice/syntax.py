"""What is to be known of a format of video, so that encoded runs can stand between packets of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from encoder.splice import h264, hevc
from encoder.splice.h264 import DecoderRecord, PictureShape


class Syntax(Protocol):
    """A format: the modules h264 and hevc."""

    @property
    def NAME(self) -> str:
        """Its name for people."""

    @property
    def PLAIN(self) -> str:
        """What is spliced of it, for people."""

    @property
    def PROFILES(self) -> Mapping[int, str]:
        """Names of profiles by their numbers, the least first."""

    @property
    def LEVELS(self) -> Sequence[int]:
        """Levels, ten times those of the standard."""

    @property
    def SETS(self) -> Sequence[int]:
        """Kinds of NAL units that are parameter sets."""

    @property
    def PLAIN_UNITS(self) -> Sequence[int]:
        """Kinds of NAL units that a plain picture consists of."""

    def read_record(self, data: bytes, /) -> DecoderRecord:
        """Return the record of a track. Raises BadBitstream."""

    def free_number(self, record: DecoderRecord, /) -> int:
        """Return a number for further parameter sets. Raises BadBitstream."""

    def iter_units(self, data: memoryview, length_bytes: int, /) -> Iterator[tuple[int, memoryview]]:
        """Yield the kind of each NAL unit of a packet, and the unit."""

    def picture(self, kind: int, unit: memoryview, /) -> int:
        """Return what a unit tells of the picture of its packet; see pictures."""

    def fits_shape(self, shape: PictureShape, width: int, height: int, /) -> bool:
        """Return whether new pictures can be cut as these are, which are shown in this size."""


SYNTAXES: Mapping[str, Syntax] = {"h264": h264, "hevc": hevc}
"""The formats of which runs can stand between packets, by FFmpeg's names."""

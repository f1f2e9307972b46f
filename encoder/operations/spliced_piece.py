"""A piece of a film of which some frames are copied: put together once its runs are made, and, where these are not what
was planned, once more of one run of all its frames, as it has to stand in one track with the other pieces."""

from collections.abc import Sequence
from typing import Protocol

from encoder.ffmpeg.command import FfmpegRun
from encoder.splice.muxing import PartMismatch
from encoder.splice.segments import Segment
from servicekit.errors import ServiceError


class SplicedPiece(Protocol):
    """A piece that is put together, of segments; `mismatch` is why it was not by the first plan, for people."""

    segments: Sequence[Segment]
    mismatch: str

    def assemble(self) -> None:
        """Put the piece together. Raises PartMismatch."""

    def encode_whole(self, whole: Segment) -> FfmpegRun:
        """Return the run that encodes all frames, which are then the segments."""

    def write(self) -> FfmpegRun:
        """Return the run that writes the piece that was put together."""

    def refusal(self, error: PartMismatch) -> ServiceError:
        """Return what is told of a piece that cannot be put together."""


def mend(piece: SplicedPiece, frames: int) -> FfmpegRun | None:
    """Put a piece of so many frames together; or return the run that encodes all of it, where runs are not what was
    planned. Raises the piece's refusal where all of it was encoded already."""
    try:
        piece.assemble()
    except PartMismatch as error:
        whole = Segment(0, frames, is_encoded=True)
        if tuple(piece.segments) == (whole,):
            raise piece.refusal(error) from error
        piece.mismatch, piece.segments = str(error), (whole,)
        return piece.encode_whole(whole)
    return None


def finish(piece: SplicedPiece) -> FfmpegRun:
    """Return the run that writes a piece, put together anew where it was mended. Raises its refusal where that cannot
    be."""
    if piece.mismatch:
        try:
            piece.assemble()
        except PartMismatch as error:
            raise piece.refusal(error) from error
    return piece.write()

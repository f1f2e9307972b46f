"""Pieces of one film that encoders made, before they are put together by copying: whether they fit."""

from collections.abc import Hashable, Sequence

from av.container import InputContainer
from av.video.stream import VideoStream as AvVideo

from encoder.media.containers import MP4_DEMUXER, open_container
from encoder.media.info import Source
from servicekit.errors import FailedPrecondition

PIECES = "pieces"


def check_alike(pieces: Sequence[Source], counts: Sequence[int] | None = None) -> None:
    """Raise FailedPrecondition where a piece has other streams, or other parameter sets, than the first, or not the
    pictures that were planned (`counts`, of each): what would come of it is a broken file."""
    expected = None
    for number, piece in enumerate(pieces):
        with open_container(piece, (MP4_DEMUXER,)) as opened:
            found = _format(opened)
            expected = expected or found
            if found != expected:
                raise unfit(piece, "it was encoded otherwise than the first one")
            if counts is not None:
                _check_pictures(piece, opened, counts[number])


def _format(opened: InputContainer) -> tuple[Hashable, ...]:
    return tuple(
        (stream.type, stream.time_base, context.name, context.extradata, *_shape(stream))
        for stream in opened.streams
        for context in [stream.codec_context]
    )


def _shape(stream: object) -> tuple[Hashable, ...]:
    if not isinstance(stream, AvVideo):
        return ()
    return stream.codec_context.pix_fmt, stream.width, stream.height, stream.sample_aspect_ratio


def _check_pictures(piece: Source, opened: InputContainer, planned: int) -> None:
    """Raise FailedPrecondition where a piece has not so many pictures, all timed and shown, the first of which needs no
    other."""
    packets = [
        (packet.pts is not None and not packet.is_discard, packet.is_keyframe)
        for packet in opened.demux(*opened.streams.video[:1])
        if packet.size
    ]
    if len(packets) != planned:
        raise unfit(piece, f"it has {len(packets)} frames where {planned} were planned")
    if not packets[0][1] or not all(is_shown for is_shown, _ in packets):
        raise unfit(piece, "its pictures cannot be put after those of another")


def unfit(piece: Source, why: str) -> FailedPrecondition:
    """Return the error of a piece that others cannot be joined with; `why` says what it is."""
    text = f"{piece.field}: {why}, so that the pieces of the film do not fit together; give all encoders one version "
    text += "of api-gpu, of FFmpeg and of the card's driver, and submit the job again."
    return FailedPrecondition(text, reason="PIECES_DIFFER")

"""Choice of streams: which of several pictures a result shows, and what sound goes with it.

What a file calls its default comes first, then the largest picture, then the order of the file, as in FFmpeg's own
choice; but never a cover, or a preview of one picture.
"""

from collections.abc import Collection, Sequence

from av.stream import Disposition
from av.stream import Stream as AvStream
from av.video.stream import VideoStream as AvVideo

COVERS = Disposition.attached_pic | Disposition.timed_thumbnails
# Sound that is for some, or goes beside another: comments, descriptions, music without the voices.
SECONDARY = (
    Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.lyrics
    | Disposition.karaoke
    | Disposition.clean_effects
    | Disposition.non_diegetic
)


def is_default(stream: AvStream) -> bool:
    """Return True if a file calls a stream one to be played when nothing else is asked for."""
    return bool(stream.disposition & Disposition.default)


def is_secondary(stream: AvStream) -> bool:
    """Return True if a stream of sound is not the one that most people want to hear."""
    return bool(stream.disposition & SECONDARY)


def rank_videos(streams: Sequence[AvVideo], moving: Collection[int]) -> list[AvVideo]:
    """Return video streams, the one to be shown first. `moving` are the indices of those that have pictures in the
    plural; covers are left out."""
    return sorted(
        without_covers(streams),
        key=lambda stream: (stream.index not in moving, not is_default(stream), -_pixels(stream)),
    )


def without_covers(streams: Sequence[AvVideo]) -> list[AvVideo]:
    """Return the video streams that are no covers."""
    return [stream for stream in streams if not stream.disposition & COVERS]


def _pixels(stream: AvVideo) -> int:
    return stream.codec_context.width * stream.codec_context.height

"""The videos that are joined, and the shape that the result has."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from encoder.media import packets, probe
from encoder.media.info import AudioStream, MediaInfo, Source, VideoStream, bad_input

# Sound that goes on for less after the last picture is of no account: audio codecs have frames of their own.
TAIL_SECONDS = 0.1


@dataclass(frozen=True)
class Part:
    """One of the videos; `sound` is the audio stream of it that is heard. `seconds` of it are shown, from `start` on:
    what comes before the first picture is the lead-in of an audio codec."""

    source: Source
    info: MediaInfo
    video: VideoStream
    sound: AudioStream | None
    start: float
    seconds: float

    @property
    def shown_size(self) -> tuple[Fraction, Fraction]:
        """Width and height that a player shows, in square pixels."""
        width, height = self.video.rotated_size
        return width * self.video.rotated_aspect, Fraction(height)


@dataclass(frozen=True)
class Frame:
    """The size and frame rate that all parts are fitted into."""

    width: int
    height: int
    rate: Fraction


def read_part(source: Source) -> Part:
    """Return a part. Raises InvalidArgument for one that cannot be used."""
    info, video = probe.probe_video(source)
    if not video.decodes:
        raise bad_input(source, "its beginning cannot be decoded; convert it to H.264 with AAC first.")
    sound = info.sound
    beside = [sound] if sound else []
    start, end = packets.start_seconds(source, info, video, beside), packets.end_seconds(source, info, video, beside)
    start = start if start < TAIL_SECONDS else 0.0
    if sound is not None:
        heard = packets.end_seconds(source, info, sound, [video])
        end = heard if heard >= end + TAIL_SECONDS else end
    if end <= start:
        raise bad_input(source, "it does not last; give a video.")
    return Part(source, info, video, sound, start, end - start)


def frame_counts(parts: Sequence[Part], rate: Fraction) -> list[int]:
    """Return the number of frames of each part. What is rounded is the time of each joint, so that no error adds up."""
    ends = [round(seconds * rate) for seconds in itertools.accumulate(part.seconds for part in parts)]
    return [max(end - start, 1) for start, end in itertools.pairwise((0, *ends))]

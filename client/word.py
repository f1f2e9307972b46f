"""A word of captions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A word as it stands in the subtitles, and when it is said: seconds from the start of the video."""

    text: str
    start: float
    end: float

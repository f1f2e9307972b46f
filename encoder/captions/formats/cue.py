"""What all kinds of subtitles become."""

from dataclasses import dataclass


class SubtitleError(ValueError):
    """A subtitle file cannot be used; the text names the cue and the line."""


@dataclass(frozen=True)
class Cue:
    """One caption: milliseconds from the start of the video, and its text with SubRip's marks; lines end in \\n.

    `said` are places in the text, in their order, and the milliseconds at which what follows is said."""

    start_ms: int
    end_ms: int
    text: str
    said: tuple[tuple[int, int], ...] = ()

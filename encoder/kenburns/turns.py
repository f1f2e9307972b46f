"""Frames of two stills by turns, for what blends one into the other."""

from collections.abc import Iterator
from dataclasses import dataclass

from encoder.kenburns.sampling import StillFrames


@dataclass(frozen=True)
class StillTurns:
    """Generates frames of two stills when it is called: first `alone` of the one, then one of each by turns, as long as
    both have some."""

    one: StillFrames
    other: StillFrames
    alone: int

    def __call__(self) -> Iterator[memoryview]:
        frames = self.one()
        for _, frame in zip(range(self.alone), frames, strict=False):
            yield frame
        for frame, beside in zip(frames, self.other(), strict=False):
            yield frame
            yield beside

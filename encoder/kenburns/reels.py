"""Stills that lead into each other: the frames of each alone, and where two meet what is blended of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Protocol

import numpy as np

from encoder.kenburns.sampling import Plane, StillFrames


class Blend(Protocol):
    """Writes a frame that leads from one still to the next into `out`: number `number` of the `count` of the
    transition. All are yuv420p of the size of the clip."""

    def __call__(self, one: Plane, other: Plane, out: Plane, number: int, count: int) -> None: ...


@dataclass(frozen=True)
class Meeting:
    """Where two stills meet: for how many frames both are seen, and how."""

    frames: int
    blend: Blend


@dataclass(frozen=True)
class StillReel:
    """Generates the frames of stills, one after the other, when it is called; `meetings` are between two of them each.
    Those of a meeting are among the frames of both."""

    stills: tuple[StillFrames, ...]
    meetings: tuple[Meeting, ...]

    def __call__(self) -> Iterator[memoryview]:
        blended = np.empty(self.stills[0].clip.frame_bytes, np.uint8)
        frames, met = self.stills[0](), 0
        for (still, following), meeting in zip(pairwise(self.stills), self.meetings, strict=True):
            yield from islice(frames, still.count - met - meeting.frames)
            # No more than two stills are in memory at once.
            beside, met = following(), meeting.frames
            for number in range(met):
                one, other = (np.frombuffer(next(each), np.uint8) for each in (frames, beside))
                meeting.blend(one, other, blended, number, met)
                yield blended.data
            frames = beside
        yield from frames

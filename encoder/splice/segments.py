"""Which frames of a film are encoded, and which are copied: from the spans in which captions are shown. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

# A caption is drawn on pictures whose times, as files round them, are within its own.
SLACK_SECONDS = 2e-3
# To copy fewer between two runs takes longer than to encode them: each run starts a program.
MIN_COPIED = 25
# For less it is not worth while to put a film together.
MIN_SAVED = 50
MAX_SHARE = 0.7
MAX_RUNS = 100


@dataclass(frozen=True)
class Segment:
    """Frames of a film from `first` on, before `end`, in the order of their packets."""

    first: int
    end: int
    is_encoded: bool

    @property
    def count(self) -> int:
        """How many frames it has."""
        return self.end - self.first


def touched(spans: Iterable[tuple[float, float]], seconds: npt.NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yield the frames that each span touches, from the first on and before the second; `seconds` are when frames are
    shown, sorted."""
    for start, end in spans:
        first, after = np.searchsorted(seconds, (start - SLACK_SECONDS, end + SLACK_SECONDS))
        if first < after:
            yield int(first), int(after)


def lay_out(
    found: Iterable[tuple[int, int]], entries: npt.NDArray[np.bool_], exits: npt.NDArray[np.bool_]
) -> tuple[Segment, ...]:
    """Return the segments of a film in which these frames are encoded. A run begins at one of `entries`, and ends
    before one of `exits` or at the end; the first frame is an entry."""
    total = len(entries)
    beginnings, ends = np.flatnonzero(entries), np.append(np.flatnonzero(exits), total)
    runs: list[tuple[int, int]] = []
    for first, after in sorted(found):
        begin = int(beginnings[np.searchsorted(beginnings, first, "right") - 1])
        end = int(ends[np.searchsorted(ends, after)])
        if runs and begin - runs[-1][1] < MIN_COPIED:
            runs[-1] = runs[-1][0], max(end, runs[-1][1])
        else:
            runs.append((begin, end))
    return tuple(_with_copies(runs, total))


def _with_copies(runs: Sequence[tuple[int, int]], total: int) -> Iterator[Segment]:
    for (_, before), (first, end) in pairwise(((0, 0), *runs, (total, total))):
        if before < first:
            yield Segment(before, first, is_encoded=False)
        if first < end:
            yield Segment(first, end, is_encoded=True)


def frames_before(copied: int, counts: Sequence[int]) -> tuple[int, ...]:
    """Return how many frames are done before each of some runs that encode so many: what is copied, and what those
    before it encode."""
    return tuple(accumulate(counts[:-1], initial=copied)) if counts else ()


def why_whole(segments: Sequence[Segment]) -> str:
    """Return why it is better to encode all frames; "" where it is not."""
    runs = [segment.count for segment in segments if segment.is_encoded]
    total = segments[-1].end
    if sum(runs) > MAX_SHARE * total:
        return f"captions, and what must be encoded with them, take {sum(runs)} of {total} frames"
    if len(runs) > MAX_RUNS:
        return f"captions come in {len(runs)} runs of frames; {MAX_RUNS} are the most"
    if total - sum(runs) < MIN_SAVED:
        return "it is too short"
    return ""

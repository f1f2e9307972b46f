"""The sound of a film that is watched while it is made: its heads, which are there before the whole. Pure.

A head is made as the whole is, and no further than it goes: so the whole begins with the same segments, and what played
from the head plays on from the whole.
"""

from collections.abc import Sequence

# A second or more beyond a segment: the last one, which is cut off, does not play.
HEAD_SECONDS = (41.0, 481.0)
# Of a film of which a head would be a larger part the whole is as soon there.
MIN_PARTS = 2


def head_seconds(seconds: float) -> list[float]:
    """Return the lengths of the heads of a film's sound, each longer than the one before."""
    return [length for length in HEAD_SECONDS if length * MIN_PARTS <= seconds]


def places(heads: Sequence[float], piece_ends: Sequence[float]) -> list[int]:
    """Return how many pieces of the picture, which end at these seconds, come before each head, and before the whole:
    what is short comes first of all, and the rest in good time."""
    is_short = bool(heads) or not head_seconds(piece_ends[-1])
    due = (0.0 if is_short else HEAD_SECONDS[0] / 2, *(length / 2 for length in heads))
    return [sum(end <= time for end in piece_ends) for time in due]

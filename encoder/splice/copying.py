"""What a film takes to make of which only the frames with captions are encoded: for those who share it out. Pure."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

# What a second of which nothing is encoded takes, by one that is encoded: it is read, moved and written all the same.
COPYING = 0.05

Seconds = npt.NDArray[np.float64]


def efforts(spans: Iterable[tuple[float, float]], keys: Seconds, end: float) -> tuple[Seconds, Seconds]:
    """Return places in a film of `end` seconds, rising, and what it takes to make it up to each, in seconds of film
    that is encoded; between them that grows evenly. Captions are shown in `spans`, sorted; from one that begins, all
    is encoded up to the keyframe (`keys`, sorted) after its end."""
    places, taken = [0.0], [0.0]

    def go_on(until: float, share: float) -> None:
        if until > places[-1]:
            taken.append(taken[-1] + (until - places[-1]) * share)
            places.append(until)

    for start, stop in spans:
        after = int(np.searchsorted(keys, stop))
        go_on(min(start, end), COPYING)
        go_on(min(float(keys[after]) if after < len(keys) else end, end), 1.0)
    go_on(end, COPYING)
    return np.array(places), np.array(taken)

"""When videos come: traces of arrivals, drawn from a seeded source of chance. Each is sorted; times are seconds."""

import math
from random import Random
from typing import NamedTuple

DAY_SECONDS = 86400.0


class Arrival(NamedTuple):
    """A video comes at that time and takes an encoder so long."""

    at: float
    task_seconds: float


Seconds = tuple[float, float]
"""The least and the most, with all between equally likely."""


def steady(videos: int, over_seconds: float, task: Seconds, chance: Random) -> list[Arrival]:
    """One by one, at even distances."""
    return [Arrival(over_seconds * number / videos, chance.uniform(*task)) for number in range(videos)]


def scattered(videos: int, over_seconds: float, task: Seconds, chance: Random) -> list[Arrival]:
    """At any time, independently of each other."""
    return _sorted([chance.uniform(0, over_seconds) for _ in range(videos)], task, chance)


def bursts(videos: int, size: int, over_seconds: float, task: Seconds, chance: Random) -> list[Arrival]:
    """Several at once, at any time."""
    times = [chance.uniform(0, over_seconds) for _ in range(math.ceil(videos / size))]
    return _sorted([times[number // size] for number in range(videos)], task, chance)


def nights(videos: int, size: int, days: int, task: Seconds, chance: Random) -> list[Arrival]:
    """Runs of `size` videos, as a flow that ends in several of them starts them; most in the afternoon, next to none at
    four in the morning."""
    times: list[float] = []
    while len(times) * size < videos:
        at = chance.uniform(0, days * DAY_SECONDS)
        hour = at % DAY_SECONDS / 3600
        if chance.random() < (1 - math.cos((hour - 4) / 24 * math.tau)) / 2:
            times.append(at)
    return _sorted([times[number // size] for number in range(videos)], task, chance)


def _sorted(times: list[float], task: Seconds, chance: Random) -> list[Arrival]:
    return [Arrival(at, chance.uniform(*task)) for at in sorted(times)]

"""Hold work on foreign bytes to a growth of n log n: measured at n and 4n, in processor time, and at 2n where it fails.

    assert_grows_gently(lambda size: b"<i>" * size, parse, 2_000)

Four times as much of something takes four times as long where the work is linear, a little more for n log n, and
sixteen times as long where it is quadratic. The bound lies in the middle. Processor time of this thread alone counts,
of several runs the least, and a measurement that fails is made again: a busy machine makes no test red.
"""

import gc
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FACTORS = (1, 2, 4)
# What the first measurement is made at: the bound is about these, and nearly all work keeps to it.
ENDS = (1, 4)
# Four times the input may take so many times as long: twice what linear work takes, half of what quadratic work takes.
MOST_GROWTH = 8.0
RUNS = 3
MEASUREMENTS = 6
# Short work is repeated until it can be told from the clock's grain.
MIN_SECONDS = 0.01


def assert_grows_gently(
    make: Callable[[int], T],
    work: Callable[[T], object],
    size: int,
    *,
    clock: Callable[[], float] = time.thread_time,
    most_growth: float = MOST_GROWTH,
) -> None:
    """Fail when `work(make(4 * size))` takes more than `most_growth` times the processor time of `work(make(size))`.

    `work` must be repeatable on one input; what it raises ends the test, so let it catch the refusals that it may give.
    `clock` is another one for work in other threads (time.process_time) or in children (`children_seconds`).
    """
    taken: list[tuple[float, ...]] = []
    for _ in range(MEASUREMENTS):
        seconds = _measure(make, work, size, clock, FACTORS if taken else ENDS)
        taken.append(seconds)
        # The least of all measurements: on a busy machine none of them need be good at both ends.
        if min(each[-1] for each in taken) <= most_growth * min(each[0] for each in taken):
            return
    shown = "; ".join(" ".join(f"{each * 1000:.2f}" for each in seconds) for seconds in taken)
    sizes = ", ".join(f"{size * by:,}" for by in FACTORS)
    raise AssertionError(f"it grows too fast: milliseconds at {sizes} (first at the ends alone): {shown}")


def children_seconds() -> float:
    """Return the processor seconds of all children that have ended and were waited for."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _measure(
    make: Callable[[int], T],
    work: Callable[[T], object],
    size: int,
    clock: Callable[[], float],
    factors: tuple[int, ...],
) -> tuple[float, ...]:
    """Return the seconds at each factor; the sizes in turn, so that a machine that slows down slows all."""
    inputs = [make(size * factor) for factor in factors]
    # Without the collector, whose work depends on all else that is alive: what is made is freed by its references.
    gc.collect()
    gc.disable()
    try:
        repeats = [_repeats(lambda value=value: work(value), clock) for value in inputs]
        least = [float("inf")] * len(factors)
        for _ in range(RUNS):
            for index, value in enumerate(inputs):
                started = clock()
                for _ in range(repeats[index]):
                    work(value)
                least[index] = min(least[index], (clock() - started) / repeats[index])
    finally:
        gc.enable()
    return tuple(least)


def _repeats(run: Callable[[], object], clock: Callable[[], float]) -> int:
    """Return how often work must be done to take MIN_SECONDS. The first run, which may fill caches, does not count."""
    run()
    count, started = 0, clock()
    while clock() - started < MIN_SECONDS and count < 10_000:
        run()
        count += 1
    return max(count, 1)

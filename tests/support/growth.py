"""How processor time grows with the size of an input: what is linear is four times as long for four times as much."""

import time
from collections.abc import Callable
from typing import Any

# What is quadratic takes 16 times as long; what grows like n log n, 4.5 times.
MOST = 9.0
RUNS = 3
# Less is noise.
LEAST_SECONDS = 0.002


def processor_seconds(work: Callable[[], Any]) -> float:
    """The least of several runs."""

    def once() -> float:
        begun = time.thread_time()
        work()
        return time.thread_time() - begun

    return min(once() for _ in range(RUNS))


def grows_evenly(prepare: Callable[[int], Callable[[], Any]], size: int) -> None:
    """Fail when the work on an input of 4 · `size` takes far more than four times as long as that on one of `size`."""
    seconds = {times: processor_seconds(prepare(times * size)) for times in (1, 2, 4)}
    assert seconds[4] <= MOST * max(seconds[1], LEAST_SECONDS), {size * times: took for times, took in seconds.items()}

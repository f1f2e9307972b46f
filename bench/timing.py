"""How things are timed: in turn with what they are held against, so that a machine that slows down slows both."""

import statistics
import time
from collections.abc import Callable

Row = tuple[str, str, str]
"""What was measured, the figure, the aim."""
RUNS = 3
MIB = 1024 * 1024


def timed(work: Callable[[], object]) -> float:
    """Seconds that the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def paired(name: str, ours: Callable[[], object], theirs: Callable[[], object], aim: str, runs: int = RUNS) -> Row:
    """Both in turn, A B A B …; the median of the ratios pair by pair, and the median seconds of each."""
    pairs = [(timed(ours), timed(theirs)) for _ in range(runs)]
    return name, against(pairs), aim


def against(pairs: list[tuple[float, float]]) -> str:
    """Seconds of ours and theirs, pair by pair, as the median ratio and the median of each."""
    ratio = statistics.median(a / b for a, b in pairs)
    mine, plainly = (statistics.median(side) for side in zip(*pairs, strict=True))
    return f"{ratio:.2f}× ({mine:.2f} s against {plainly:.2f} s)"

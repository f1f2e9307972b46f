"""When slots come free, and so how long tasks will wait."""

from collections.abc import Iterable, Iterator
from math import floor

from gateway.fleet.terms import Worker

# A time that differs by less is the same: sums of Unix seconds are exact to a microsecond or so.
SAME_SECONDS = 1e-3


def remaining_setup_seconds(worker: Worker, now: float) -> float:
    """Seconds until a worker can be expected to take its first task. One that is overdue is taken to need as long
    again as it is late: it is not given up at once, and not waited for for ever."""
    return 0.0 if worker.is_ready else abs(worker.created_at + worker.setup_seconds - now)


def slot_times(workers: Iterable[Worker], task_seconds: float, now: float) -> Iterator[float]:
    """Seconds until each slot takes a task, those of workers on their way too. Tasks that run are taken to be spread
    evenly over their time."""
    for worker in workers:
        if worker.is_leaving or not (worker.is_ready or worker.is_rented):
            continue
        setup_seconds = remaining_setup_seconds(worker, now)
        for slot in range(worker.slots):
            running = (slot + 0.5) / worker.busy * task_seconds if slot < worker.busy else 0.0
            yield setup_seconds + running


def startable(slots: Iterable[float], within_seconds: float, task_seconds: float) -> int:
    """How many tasks can be started within that time, one after the other on each slot."""
    left = (within_seconds + SAME_SECONDS - free_after for free_after in slots)
    return sum(floor(seconds / task_seconds) + 1 for seconds in left if seconds >= 0)


def free_slots(workers: Iterable[Worker]) -> int:
    """Slots that could take a task now."""
    return sum(max(0, worker.slots - worker.busy) for worker in workers if worker.is_ready and not worker.is_leaving)


def coming_slots(workers: Iterable[Worker], now: float) -> int:
    """Slots of rented workers that are on their way and not overdue."""
    coming = (worker for worker in workers if worker.is_rented and not (worker.is_ready or worker.is_leaving))
    return sum(worker.slots for worker in coming if worker.created_at + worker.setup_seconds > now - SAME_SECONDS)

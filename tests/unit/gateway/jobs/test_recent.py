"""How the jobs of the last day fared, by what the index is told of them."""

import tracemalloc
from dataclasses import replace

import pytest

from gateway.jobs.model import Job, Status, Task
from gateway.jobs.recent import WINDOW_SECONDS, RecentJobs

NOW = 2_000_000.0


def job(status: Status, created_at: float, started_at: float | None = None, ended_at: float | None = None) -> Job:
    made = Job("a", "probe", b"", False, (Task(status=status),), created_at)
    return replace(made, started_at=started_at, ended_at=ended_at, cancelled=status is Status.CANCELLED)


def test_jobs_of_the_window_count_by_how_they_ended() -> None:
    recent = RecentJobs(now=lambda: NOW)
    recent.note("1", job(Status.COMPLETED, NOW - 100, NOW - 90, NOW - 80))
    recent.note("2", job(Status.FAILED, NOW - 100, NOW - 98, NOW - 80))
    recent.note("3", job(Status.CANCELLED, NOW - 100, None, NOW - 80))
    recent.note("4", job(Status.FAILED, NOW - 2 * WINDOW_SECONDS, NOW - 2 * WINDOW_SECONDS, NOW - WINDOW_SECONDS - 1))
    recent.note("5", job(Status.IN_PROGRESS, NOW - 60, NOW - 60))
    recent.note("6", job(Status.IN_QUEUE, NOW - 60))
    recent.note("7", job(Status.FAILED, NOW - 60, NOW - 60, NOW - 50))
    recent.note("7", None)
    found = recent.figures(NOW)
    assert (found.ended, found.failed, found.cancelled) == (3, 1, 1)
    assert list(found.waits) == [0, 2, 10]


@pytest.mark.parametrize(("count", "half", "most"), [(0, None, None), (1, 1, 1), (20, 10, 19), (100, 50, 95)])
def test_a_share_of_the_waits_is_that_long_at_most(count: int, half: float | None, most: float | None) -> None:
    recent = RecentJobs(now=lambda: NOW)
    for number in range(1, count + 1):
        recent.note(str(number), job(Status.IN_PROGRESS, NOW - 200, NOW - 200 + number))
    found = recent.figures(NOW)
    assert (found.wait_seconds(0.5), found.wait_seconds(0.95)) == (half, most)


def test_counting_takes_a_hundredth_of_the_time() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.05  # at each look: what counting took
        return now

    recent = RecentJobs(clock, now=lambda: NOW)
    recent.note("1", job(Status.COMPLETED, NOW - 100, NOW - 90, NOW - 80))
    found = [recent.figures(NOW) for _ in range(50)]
    recent.note("2", job(Status.COMPLETED, NOW - 100, NOW - 90, NOW - 80))
    assert all(figures is found[0] for figures in (*found, recent.figures(NOW)))
    now += 5
    assert recent.figures(NOW).ended == 2


def test_what_is_older_than_the_window_takes_no_memory_though_nobody_asks() -> None:
    now = NOW
    recent = RecentJobs(now=lambda: now)
    tracemalloc.start()
    try:
        for number in range(4_000):  # what a gateway reads at its start
            old = NOW - 2 * WINDOW_SECONDS + number
            recent.note(f"old-{number}", job(Status.COMPLETED, old, old, old))
        at_start, _ = tracemalloc.get_traced_memory()
        for number in range(4_000):
            now = NOW + 600 * number
            recent.note(str(number), job(Status.COMPLETED, now - 2, now - 1, now))
        at_end, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert at_start < 10_000
    assert at_end < 600_000
    assert recent.figures(now).ended == WINDOW_SECONDS / 600

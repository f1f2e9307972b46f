"""What an index keeps of jobs that are gone."""

import tracemalloc

from gateway.jobs import model
from gateway.jobs.model import Job, Task
from gateway.jobs.store import JobIndex

TENANTS = 500


def come_and_go(index: JobIndex, first: int) -> None:
    """Have a job each of so many tenants, which nobody sees again."""
    for number in range(first, first + TENANTS):
        one = Job(str(number), "img2vid", b"", True, (Task("one"),), created_at=100.0, tenant=f"tenant{number}")
        index.note(one.id, one)
        assert index.place(one.id) == 1
        index.note(one.id, model.start_task(one, 0, 110.0))
        index.note(one.id, None)


def test_nothing_is_kept_of_tenants_whose_jobs_are_gone() -> None:
    index = JobIndex()
    come_and_go(index, 0)
    tracemalloc.start()
    try:
        come_and_go(index, TENANTS)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 100 * TENANTS
    assert (index.counts(), index.queued("tenant7"), index.place("7")) == ({}, 0, 1)

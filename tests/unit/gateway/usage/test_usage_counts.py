"""What is counted of a job, and that it is counted once."""

from dataclasses import replace

import pytest

from gateway.fleet.billing import Cost
from gateway.jobs import model
from gateway.jobs.model import COUNTED, Failure, Job, Result, Task
from gateway.usage.counts import REMEMBERED_SECONDS, DayUsage, UsageCounts, added, day_of, entry_of

FAILED = Failure(3, "no image")


def job(*tasks, **changes):
    said = {"id": "a", "operation": "img2vid", "request": b"", "batch": True, "created_at": 100.0, "counted": None}
    return Job(**said | {"tasks": tasks or (Task("one"),)} | changes)


def ended():
    """A job of three tasks: one completed at its second try, one failed, one cancelled while it was at work."""
    done = job(Task("one"), Task("two"), Task("three"))
    done = model.return_task(model.start_task(done, 0, 100), 0, 104, counted=True)
    done = model.return_task(model.start_task(done, 0, 110), 0, 150, counted=False)
    done = model.start_task(model.start_task(model.start_task(done, 0, 200), 1, 200), 2, 200)
    done = model.complete_task(done, 0, Result("assets/x", 48, duration_seconds=2.5, size_bytes=1000), 203)
    done = model.fail_task(done, 1, FAILED, 201)
    return model.cancel(done, FAILED, 210)


def test_the_work_of_attempts_that_count_and_the_results_are_counted():
    entry = entry_of(ended(), Cost(0.5, 1, is_final=True))
    assert (entry.key, entry.operation) == ("a", "img2vid")
    # What a line or an encoder that failed took is not the tenant's.
    assert entry.counts == UsageCounts(1, 0, 1, 2.5, 4 + 3 + 1 + 10, 0.5, 1000)
    failed = entry_of(model.fail_task(model.start_task(job(), 0, 100), 0, FAILED, 101), COUNTED).counts
    assert failed == UsageCounts(jobs=1, failed_jobs=1, encoder_seconds=1.0)
    assert day_of(86_400.0 * 2 - 0.001).isoformat() == "1970-01-02"


def test_a_job_is_added_once_and_its_cost_as_it_grows():
    first, day = ended(), DayUsage()
    for usd in (0.5, 0.7):  # the second gateway finds that it cost more by then
        day = added(day, [entry_of(first, Cost(usd, 1, is_final=False))], 1000.0, lambda job_id: False)
    assert day.total.cost_usd == 0.5
    marked = replace(first, counted=Cost(0.5, 1, is_final=False))
    for _ in range(2):
        day = added(day, [entry_of(marked, Cost(0.8, 1, is_final=True))], 1001.0, lambda job_id: False)
    assert day.total == UsageCounts(1, 0, 1, 2.5, 18.0, pytest.approx(0.8), 1000)


def test_a_day_forgets_jobs_that_are_marked_and_no_others():
    one, two = entry_of(job(id="a"), COUNTED), entry_of(job(id="b"), COUNTED)
    day = added(DayUsage(), [one, two], 0.0, lambda job_id: False)
    later = entry_of(job(id="c"), COUNTED)
    day = added(day, [later], REMEMBERED_SECONDS + 1, lambda job_id: job_id == "a")
    assert set(day.added) == {"b", "c"}
    assert day.total.jobs == 3
    assert added(day, [two], REMEMBERED_SECONDS + 2, lambda job_id: False) is day

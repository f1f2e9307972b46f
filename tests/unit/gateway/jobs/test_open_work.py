"""Work for jobs that are not counted yet: that of today, until they are counted."""

from dataclasses import replace

import pytest

from gateway.fleet.billing import UsageInterval
from gateway.jobs import model
from gateway.jobs.fairness import Lane, key_account
from gateway.jobs.model import Job, Result, Task
from gateway.jobs.open_work import OpenWork
from gateway.jobs.store import JobIndex

DAY = 86_400.0
MIDNIGHT = 3 * DAY


def job(*tasks):
    return Job("a", "img2vid", b"", True, tasks or (Task("one"), Task("two")), created_at=100.0, counted=None)


def test_work_counts_while_it_goes_on_and_until_the_job_is_counted():
    work, begun = OpenWork(), model.start_task(job(), 0, MIDNIGHT + 10)
    work.note("a", ("acme",), job())
    assert work.seconds("acme", MIDNIGHT, MIDNIGHT + 40) == 0
    work.note("a", ("acme",), begun)
    assert work.seconds("acme", MIDNIGHT, MIDNIGHT + 40) == pytest.approx(30)
    assert work.seconds("other", MIDNIGHT, MIDNIGHT + 40) == 0
    done = model.complete_task(begun, 0, Result("assets/x", 48), MIDNIGHT + 50)
    ended = model.complete_task(model.start_task(done, 1, MIDNIGHT + 50), 1, Result("assets/y", 48), MIDNIGHT + 55)
    for known in (done, ended):
        work.note("a", ("acme",), known)
    assert work.seconds("acme", MIDNIGHT, MIDNIGHT + 99) == pytest.approx(45)
    work.note("a", ("acme",), None)
    assert work.seconds("acme", MIDNIGHT, MIDNIGHT + 99) == 0


def test_a_job_of_days_has_each_day_what_is_done_on_it():
    usage = (UsageInterval("i", MIDNIGHT - 50, MIDNIGHT - 30), UsageInterval("i", MIDNIGHT - 20))
    tasks = (Task("one"), Task("two", usage=usage), Task("three"))
    known = model.start_task(model.start_task(job(*tasks), 0, MIDNIGHT - 60), 1, MIDNIGHT - 20)
    known = model.complete_task(known, 0, Result("assets/x", 48), MIDNIGHT - 5)
    work = OpenWork()
    work.note("a", ("acme",), known)
    assert work.seconds("acme", MIDNIGHT, MIDNIGHT + 7) == pytest.approx(7)
    assert [(one.started_at, one.ended_at) for one in work.usage("acme", MIDNIGHT)] == [(MIDNIGHT, None)]


def test_what_an_earlier_gateway_writes_without_its_key_is_counted_with_the_key_no_more():
    index, told = JobIndex(), list[str]()
    index.on_end.append(told.append)
    begun = model.start_task(replace(job(), tenant="acme", key="k"), 0, MIDNIGHT + 10)
    account = key_account("k")
    index.note("a", begun)
    assert (index.order.waiting, index.order.busy) == ({Lane("acme", key="k"): 1}, {"acme": 1, account: 1})
    cancelled = model.cancel(replace(begun, key=""), model.Failure(1, "enough"), MIDNIGHT + 20)
    index.note("a", cancelled)
    assert (index.order.waiting, index.order.running, index.order.busy) == ({}, {}, {})
    assert [index.open_work.seconds(whose, MIDNIGHT, MIDNIGHT + 99) for whose in (account, "acme")] == [0, 10]
    assert told == ["a"]
    index.note("a", replace(job(), tenant="acme", key="k"))
    index.note("a", replace(job(), tenant="acme"))
    assert (index.queued(account), index.queued("acme"), index.place("a")) == (0, 1, 1)

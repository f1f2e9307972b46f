"""Lists of jobs: what is among those that are wanted, how far a page looks, and what it costs."""

from dataclasses import replace

from gateway.jobs import listing, model
from gateway.jobs.listing import JobFilter
from gateway.jobs.model import Failure, Job, Status, Task
from gateway.jobs.store import JobIndex

NOW = 1_700_000_000.0
NOTES = (("order", "17"), ("who", "Ana"))


def job(number, tenant="acme", operation="caption", metadata=(), *, failed=False):
    made = Job(model.new_id(NOW + number), operation, b"", False, (Task(),), NOW + number, tenant=tenant)
    made = replace(made, metadata=metadata)
    return model.fail_task(made, 0, Failure(13, "broken"), NOW + number) if failed else made


def indexed(*jobs):
    index = JobIndex()
    for one in jobs:
        index.note(one.id, one)
    return index


def listed(index, wanted, before=""):
    ids, _ = index.newest(wanted, before)
    return [job_id for job_id in ids if index.is_listed(job_id, wanted)]


def test_each_filter_leaves_the_jobs_that_it_names_the_newest_first():
    caption, other, failed = job(0), job(1, "other", "img2vid"), job(2, failed=True)
    noted = job(3, "other", metadata=NOTES)
    index = indexed(caption, other, failed, noted)
    for wanted, found in (
        (JobFilter(), [noted, failed, other, caption]),
        (JobFilter(Status.FAILED), [failed]),
        (JobFilter(operation="img2vid"), [other]),
        (JobFilter(tenant="acme"), [failed, caption]),
        (JobFilter(tenant="nobody"), []),
        (JobFilter(metadata=NOTES[:1]), [noted]),
        (JobFilter(metadata=(("order", "18"),)), []),
        (JobFilter(created_after=NOW + 1), [noted, failed, other]),
        (JobFilter(created_before=NOW + 1), [caption]),
        (JobFilter(tenant="other", created_after=NOW + 1, created_before=NOW + 3), [other]),
    ):
        assert listed(index, wanted) == [one.id for one in found], wanted
        assert all(wanted.has(one) for one in found)
    assert listed(index, JobFilter(), failed.id) == [other.id, caption.id]
    assert listed(index, JobFilter(created_before=NOW + 3), noted.id) == [failed.id, other.id, caption.id]


def test_jobs_are_counted_by_status_for_each_tenant():
    waiting, failed, other = job(0), job(1, failed=True), job(2, "other")
    index = indexed(waiting, failed, other)
    assert index.counts("acme") == {Status.IN_QUEUE: 1, Status.FAILED: 1}
    assert index.counts() == {Status.IN_QUEUE: 2, Status.FAILED: 1}
    index.note(waiting.id, model.cancel(waiting, Failure(1, "cancelled"), NOW))
    index.note(other.id, None)
    assert index.counts() == {Status.CANCELLED: 1, Status.FAILED: 1}
    assert index.counts("other") == index.counts("nobody") == {}
    assert listed(index, JobFilter(tenant="other")) == []


def test_a_page_looks_at_so_many_jobs_and_says_where_it_goes_on():
    jobs = [job(number) for number in range(10)]
    index = indexed(*jobs)
    seen, before = [], ""
    for size in (4, 4, 2):
        ids, before = index.newest(JobFilter(), before, most=4)
        assert len(ids) == size
        seen += ids
    assert before == ""
    assert seen == [one.id for one in reversed(jobs)]


def test_an_entry_of_metadata_whose_mark_another_one_has_is_told_from_it_by_the_record():
    wanted = JobFilter(metadata=(("a", "b"),))
    assert wanted.matches(Status.IN_QUEUE, "caption", (*listing.marks(NOTES), *listing.marks([("a", "b")])))
    assert not wanted.has(job(0, metadata=NOTES))

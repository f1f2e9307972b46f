"""Which result goes where, and what follows from an attempt."""

from gateway.jobs import model
from gateway.jobs.model import Job, Result, ResultFile, Status, Task
from gateway.jobs.outputs import OutputTarget
from gateway.outputs.plan import DAY_SECONDS, OutputPolicy, PutOutcome, attempted, next_at, noted, planned, wanted

POLICY = OutputPolicy()
ASSET = "assets/" + "a" * 26
FILE = ResultFile("sheet.jpg", "assets/" + "b" * 26, "image/jpeg")


def done(*urls, items=(), files=()):
    """A job that is done but for where its results go."""
    job = Job("0" * 32, "thumbnail", b"", bool(items), tuple(map(Task, items or [""])), 0.0, output=OutputTarget(urls))
    for index in range(len(job.tasks)):
        job = model.start_task(job, index, 1.0)
        job = model.complete_task(job, index, Result(ASSET, 1, content_type="image/jpeg", files=files), 2.0)
    return job


def test_a_job_goes_on_until_its_results_are_put():
    job = done("https://a/1?secret")
    assert (job.status, job.ended_at, job.is_delivering) == (Status.IN_PROGRESS, None, True)
    (delivery,) = planned(job, 3.0)
    assert (delivery.place, delivery.next_at) == ("https://a/1", 3.0)
    waiting = noted(job, (attempted(delivery, PutOutcome("503"), 4.0, POLICY),), 4.0)
    assert waiting.status is Status.IN_PROGRESS
    assert 8.0 <= next_at(waiting) <= 10.0
    ended = noted(job, (attempted(delivery, PutOutcome(), 5.0, POLICY),), 5.0)
    assert (ended.status, ended.ended_at, ended.is_delivering) == (Status.COMPLETED, 5.0, False)
    assert not ended.tasks[0].warnings
    assert noted(ended, (), 6.0) == ended


def test_what_was_not_put_is_a_warning_of_its_result():
    job = done("https://a/1", "https://a/2", items=("a", "b"))
    first, second = planned(job, 3.0)
    refused = attempted(second, PutOutcome("It answered 403.", is_final=True), 4.0, POLICY)
    job = noted(job, (attempted(first, PutOutcome(), 4.0, POLICY), refused), 4.0)
    assert job.status is Status.COMPLETED
    assert [warning.reason for warning in job.tasks[1].warnings] == ["NOT_DELIVERED"]
    assert not job.tasks[0].warnings
    assert job.tasks[1].asset == ASSET


def test_it_is_tried_for_a_day_with_growing_pauses_and_as_its_receiver_asks():
    job = done("https://a/1")
    (delivery,) = planned(job, 0.0)
    pauses = []
    while delivery.next_at is not None:
        now = delivery.next_at
        delivery = attempted(delivery, PutOutcome("503"), now, POLICY)
        pauses.append((delivery.next_at or now) - now)
    assert DAY_SECONDS - 3600 * 1.2 <= now < DAY_SECONDS
    assert pauses[0] <= 5.0 < pauses[3] < pauses[6]
    assert max(pauses) <= 3600.0
    (delivery,) = planned(job, 0.0)
    assert attempted(delivery, PutOutcome("503", retry_after_seconds=100.0), 0.0, POLICY).next_at == 100.0


def test_results_go_to_the_urls_in_their_order():
    batch = done("https://a/1", "https://a/2", items=("a", "b"), files=(FILE,))
    assert [(one.task, one.file, one.url) for one in wanted(batch)] == [
        (0, 0, "https://a/1"),
        (0, 1, ""),
        (1, 0, "https://a/2"),
        (1, 1, ""),
    ]
    one = done("https://a/1", "https://a/2", files=(FILE,))
    assert [(found.file, found.url) for found in wanted(one)] == [(0, "https://a/1"), (1, "https://a/2")]
    left = planned(done("https://a/1", files=(FILE,)), 1.0)
    assert [(one.next_at, bool(one.error)) for one in left] == [(1.0, False), (None, True)]


def test_results_of_a_bucket_have_keys_and_no_two_one():
    job = done("s3://media/{item}.jpg", files=(FILE,))
    assert [one.place for one in planned(job, 1.0)] == [
        "s3://media/thumbnail.jpg",
        "s3://media/thumbnail-sheet.jpg",
    ]
    twice = done("s3://media/{name}", files=(FILE, FILE))
    assert [one.next_at for one in planned(twice, 1.0)] == [1.0, 1.0, None]


def test_what_is_on_its_way_stays_as_it_is():
    job = done("https://a/1")
    (delivery,) = planned(job, 1.0)
    job = noted(job, (attempted(delivery, PutOutcome("503"), 2.0, POLICY),), 2.0)
    assert planned(job, 9.0) == job.output.deliveries


def test_a_cancelled_job_has_nothing_to_be_put():
    job = model.cancel(done("https://a/1"), model.Failure(1, "cancelled"), 3.0)
    assert (job.status, job.is_delivering) == (Status.CANCELLED, False)

"""What is told of a job: which occurrences, when they are tried again, and when no more."""

from dataclasses import replace
from itertools import pairwise

from gateway.jobs import hooks, model
from gateway.jobs.hooks import EVENTS, Webhook
from gateway.jobs.model import Failure, Job, Result, Task
from gateway.webhooks import settling
from gateway.webhooks.deliveries import (
    MAX_ATTEMPTS_KEPT,
    Deliveries,
    DeliveryPolicy,
    WebhookAttempt,
    attempted,
    planned,
    reopened,
    webhook_id,
)
from servicekit.codec import from_json, to_json

POLICY = DeliveryPolicy()
WEBHOOK = Webhook("https://user.example:8443/x?token=1", EVENTS, "https://gateway.example")


def job(count=2, **changes):
    tasks = tuple(Task(item=str(index)) for index in range(count))
    made = Job(id="a" * 32, operation="img2vid", request=b"", batch=True, tasks=tasks, created_at=1.0, webhook=WEBHOOK)
    return replace(made, **changes)


def names(found):
    return [one.name for one in hooks.occurrences(found)]


def test_occurrences_follow_the_job_and_are_those_that_were_chosen():
    begun = model.start_task(job(), 0, 2.0)
    half = model.complete_task(begun, 0, Result("assets/a", 1), 3.0)
    ended = model.cancel(half, Failure(1, "cancelled"), 4.0)
    assert [names(each) for each in (job(), begun, half, ended)] == [
        ["queued"],
        ["queued", "started"],
        ["queued", "started", "item-0"],
        ["queued", "started", "item-0", "item-1", "ended"],
    ]
    assert names(replace(ended, webhook=replace(WEBHOOK, events=("job.ended",)))) == ["ended"]
    assert names(replace(ended, webhook=None)) == []


def test_a_receiver_that_never_answers_is_tried_for_a_day_with_growing_pauses():
    told, now, times = planned(Deliveries(), job(), 100.0), 100.0, []
    while (at := told.next_at) is not None:
        now = at
        times.append(now)
        told = attempted(told, "queued", WebhookAttempt(now, 500, "answered", 3), POLICY)
    pauses = [after - before for before, after in pairwise(times)]
    assert times[-1] < 100.0 + POLICY.give_up_seconds < times[-1] + POLICY.backoff.max_seconds
    assert pauses[0] <= 5.0
    assert max(pauses) <= POLICY.backoff.max_seconds
    assert 20 < len(times) < 60
    delivery = told.by_name["queued"]
    assert (delivery.attempt_count, len(delivery.attempts), delivery.is_delivered) == (
        len(times),
        MAX_ATTEMPTS_KEPT,
        False,
    )
    assert from_json(Deliveries, to_json(told)) == told


def test_an_answer_of_2xx_or_410_ends_it_and_retry_after_is_kept_to():
    told = planned(Deliveries(), job(), 100.0)
    assert attempted(told, "queued", WebhookAttempt(101.0, 204, "", 3), POLICY).next_at is None
    gone = attempted(told, "queued", WebhookAttempt(101.0, 410, "answered", 3), POLICY)
    assert (gone.next_at, gone.by_name["queued"].is_delivered) == (None, False)
    asked = attempted(told, "queued", WebhookAttempt(101.0, 503, "answered", 3, 120.0), POLICY)
    assert asked.next_at == 221.0
    for_ever = attempted(told, "queued", WebhookAttempt(101.0, 503, "answered", 3, 1e9), POLICY)
    assert for_ever.next_at == 101.0 + POLICY.backoff.max_seconds


def test_what_was_told_is_told_anew_with_the_same_id():
    told = attempted(planned(Deliveries(), job(), 100.0), "queued", WebhookAttempt(101.0, 204, "", 3), POLICY)
    again = reopened(told, ["queued"], 9e6)
    assert again.due(9e6) == ["queued"]
    assert planned(again, job(), 9e6) is again
    assert webhook_id("a" * 32, "queued") == f"msg_{'a' * 32}_queued"


def test_a_webhook_that_was_reopened_meanwhile_is_not_settled():
    ended = job()
    assert settling.settle_webhook(ended, WEBHOOK).webhook.is_settled
    reopened_meanwhile = settling.reopen_webhook(ended)
    assert settling.settle_webhook(reopened_meanwhile, WEBHOOK) == reopened_meanwhile
    assert settling.reopen_webhook(replace(ended, webhook=None)).webhook is None
    assert WEBHOOK.origin == "user.example:8443"

"""What is sent to webhooks, and what was, as messages of the API."""

from collections.abc import Iterator
from dataclasses import replace

from apigpu.v1 import jobs_pb2 as pb2
from gateway.jobs.hooks import ENDED, ITEM, PROGRESS, Occurrence
from gateway.jobs.model import Job
from gateway.jobs.progress import TaskProgress
from gateway.services.presenters import Presenter
from gateway.services.progress import total_progress
from gateway.services.requests import BRIEF
from gateway.services.times import timestamp
from gateway.webhooks.deliveries import Deliveries, WebhookDelivery, webhook_id

State = pb2.WebhookDelivery.State


def payload(
    presenter: Presenter, job: Job, what: Occurrence, since: float, running: dict[int, TaskProgress]
) -> pb2.WebhookPayload:
    """Return what is sent of an occurrence. Results are in the last one alone, and an image's in its own."""
    base_url = job.webhook.base_url if job.webhook else ""
    presenter = replace(presenter, base_url=base_url or presenter.base_url)
    found = pb2.WebhookPayload(type=what.event, timestamp=timestamp(since), data=presenter.job(job, BRIEF))
    if what.event != ENDED:
        found.data.ClearField("output")
    if what.event == ITEM:
        found.item.CopyFrom(presenter.video(job, what.task))
    if what.event == PROGRESS:
        found.progress.CopyFrom(total_progress(job, running))
    return found


def webhook_deliveries(job_id: str, told: Deliveries) -> Iterator[pb2.WebhookDelivery]:
    """Yield what is told of a job."""
    for name, one in told.by_name.items():
        yield pb2.WebhookDelivery(
            webhook_id=webhook_id(job_id, name),
            type=one.event,
            state=_state(one),
            attempt_count=one.attempt_count,
            attempts=[
                pb2.WebhookAttempt(
                    time=timestamp(attempt.at),
                    http_status=attempt.status,
                    error=attempt.error,
                    duration_ms=attempt.milliseconds,
                )
                for attempt in one.attempts
            ],
            next_attempt_time=timestamp(one.next_at),
        )


def _state(one: WebhookDelivery) -> pb2.WebhookDelivery.State.ValueType:
    if one.is_delivered:
        return State.DELIVERED
    return State.GIVEN_UP if one.next_at is None else State.PENDING

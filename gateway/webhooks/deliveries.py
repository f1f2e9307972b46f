"""What is told to the webhook of one job, and how far that is. Pure: no I/O, no clock; times are Unix seconds."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from gateway.cluster.duty import DEFAULT_LIMITS, DutyLimits
from gateway.jobs.hooks import Occurrence, occurrences
from gateway.jobs.model import Job
from servicekit.backoff import Backoff

DAY_SECONDS = 86_400.0
MAX_ATTEMPTS_KEPT = 10
MAX_ERROR_CHARACTERS = 300
# The receiver is gone for good. Source: Standard Webhooks, "Special meaning of HTTP status codes".
GONE = 410
BACKOFF = Backoff(first_seconds=5.0, max_seconds=3600.0, jitter=0.2)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryPolicy:
    """Pauses between attempts, how long there are any, and other limits of calls."""

    backoff: Backoff = BACKOFF
    give_up_seconds: float = DAY_SECONDS
    # Between two calls about the progress of a job.
    progress_seconds: float = 5.0
    limits: DutyLimits = DEFAULT_LIMITS
    # A job that is told much is written down so often meanwhile.
    record_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class WebhookAttempt:
    """One call: when it began, the HTTP status of the answer (0: none), why it failed ("": it did not), how long it
    took, and the seconds that the receiver asks to be left alone for."""

    at: float
    status: int
    error: str
    milliseconds: int
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """One occurrence that is told: tried for a day from `since` on, next at `next_at` (None: no more)."""

    event: str
    index: int
    since: float
    next_at: float | None
    attempt_count: int = 0
    is_delivered: bool = False
    attempts: tuple[WebhookAttempt, ...] = ()

    @property
    def occurrence(self) -> Occurrence:
        """What happened."""
        return Occurrence(self.event, self.index)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """All that is told of one job, by the name of the occurrence, in the order in which it happened."""

    by_name: dict[str, WebhookDelivery] = field(default_factory=dict)

    @property
    def next_at(self) -> float | None:
        """When something is to be tried; None if nothing is left."""
        return min((one.next_at for one in self.by_name.values() if one.next_at is not None), default=None)

    def due(self, now: float) -> list[str]:
        """Return the names of what is to be tried by now."""
        return [name for name, one in self.by_name.items() if one.next_at is not None and one.next_at <= now]


def webhook_id(job_id: str, name: str) -> str:
    """Return the id of what is told, the same at each attempt, by whichever gateway."""
    return f"msg_{job_id}_{name}"


def planned(deliveries: Deliveries, job: Job, now: float) -> Deliveries:
    """Add what has happened to the job since."""
    found = {
        one.name: WebhookDelivery(one.event, one.task, now, now)
        for one in occurrences(job)
        if one.name not in deliveries.by_name
    }
    return Deliveries(deliveries.by_name | found) if found else deliveries


def attempted(deliveries: Deliveries, name: str, attempt: WebhookAttempt, policy: DeliveryPolicy) -> Deliveries:
    """Note an attempt: it ends the delivery, or sets the time of the next one."""
    before = deliveries.by_name[name]
    kept = (*before.attempts, attempt)[-MAX_ATTEMPTS_KEPT:]
    count = before.attempt_count + 1
    after = replace(before, attempts=kept, attempt_count=count, is_delivered=not attempt.error)
    return Deliveries(deliveries.by_name | {name: replace(after, next_at=_next_at(after, attempt, policy))})


def _next_at(delivery: WebhookDelivery, attempt: WebhookAttempt, policy: DeliveryPolicy) -> float | None:
    if delivery.is_delivered or attempt.status == GONE:
        return None
    asked = min(attempt.retry_after_seconds, policy.backoff.max_seconds)
    at = attempt.at + max(policy.backoff.pause_seconds(delivery.attempt_count), asked)
    return at if at < delivery.since + policy.give_up_seconds else None


def reopened(deliveries: Deliveries, names: Collection[str], now: float) -> Deliveries:
    """Tell these anew, whatever became of them."""
    again = {
        name: replace(one, since=now, next_at=now, is_delivered=False)
        for name, one in deliveries.by_name.items()
        if name in names
    }
    return Deliveries(deliveries.by_name | again)

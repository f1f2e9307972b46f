"""What the scaler is told and what it answers."""

from dataclasses import dataclass

from gateway.fleet.base import Offer


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be rented and spent. Times in seconds; a cap of None is none.

    `minimum` workers are kept whatever happens (the caps still hold), `maximum` is never passed; both count rented
    ones only. A worker without work for `idle_seconds` is given back, one older than `max_age_seconds` takes no more
    tasks and is given back when it has none. A task should wait `target_wait_seconds` at most; where a set-up alone
    takes longer, that long after the set-up.
    """

    minimum: int = 0
    maximum: int = 3
    idle_seconds: float = 60.0
    target_wait_seconds: float = 60.0
    max_age_seconds: float = 6 * 3600.0
    max_usd_per_hour: float | None = None
    max_usd_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """The queue: tasks that wait for a slot, seconds that the oldest has waited and that an average task takes."""

    waiting: int
    oldest_wait_seconds: float
    task_seconds: float


@dataclass(frozen=True, slots=True)
class Worker:
    """An encoder that is there or on its way. Own encoders cost nothing and are never given back (`is_rented`).

    `busy` counts the tasks of all gateways. `idle_since` is None while it has work or does not yet answer. One that
    was released and is still paid for `is_leaving`: it takes no more tasks.
    """

    id: str
    provider: str
    is_rented: bool
    is_ready: bool
    slots: int
    busy: int
    usd_per_hour: float
    created_at: float
    setup_seconds: float = 0.0
    idle_since: float | None = None
    is_leaving: bool = False


@dataclass(frozen=True, slots=True)
class Rent:
    """Rent this offer."""

    offer: Offer
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Give this worker back: it takes no more tasks and goes when it has none, or `at_once`, and the tasks that it
    runs go back to the queue."""

    worker: str
    reason: str
    at_once: bool = False


Action = Rent | Release

"""What to rent and what to give back: a pure function of queue, workers, prices, policy and time."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.fleet.base import Offer


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be rented and spent. Times in seconds; a cap of None is none.

    `minimum` workers are kept whatever happens (the caps still hold), `maximum` is never passed. A worker without
    work for `idle_seconds` is given back, one older than `max_age_seconds` as soon as it has nothing to do. A task
    should wait `target_wait_seconds` at most.
    """

    minimum: int = 0
    maximum: int = 3
    idle_seconds: float = 300.0
    target_wait_seconds: float = 60.0
    max_age_seconds: float = 6 * 3600.0
    max_usd_per_hour: float | None = None
    max_usd_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """The queue: tasks that wait for a slot, tasks that run on any encoder, seconds that the oldest has waited and that
    an average task takes."""

    waiting: int
    running: int
    oldest_wait_seconds: float
    task_seconds: float


@dataclass(frozen=True, slots=True)
class Worker:
    """An encoder that is there or on its way. Own encoders cost nothing and are never given back (`is_rented`).

    `idle_since` is None while it has work or does not yet answer.
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


@dataclass(frozen=True, slots=True)
class Rent:
    """Rent this offer."""

    offer: Offer
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Give this worker back: when it is idle, or `at_once`, and the tasks that it runs go back to the queue."""

    worker: str
    reason: str
    at_once: bool = False


Action = Rent | Release


def decide(
    demand: Demand,
    workers: Sequence[Worker],
    offers: Sequence[Offer],
    policy: Policy,
    spent_today_usd: float,
    tick_seconds: float,
    now: float,
) -> list[Action]:
    """What to do now. `offers` come in the order of preference of their providers, the best of each first; an offer may
    be taken once. `spent_today_usd` has in it what the workers have cost until now. The next call comes `tick_seconds`
    later at the latest: no cap may be passed before that."""
    raise NotImplementedError

"""What to rent and what to give back: a pure function of queue, workers, prices, policy and time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import floor

from gateway.fleet.instances.instance import HOUR_SECONDS
from gateway.fleet.providers.base import Offer


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
class Launch:
    """Rent this offer."""

    offer: Offer
    reason: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """Give this worker back: it takes no more tasks and goes when it has none, or `at_once`, and the tasks that it
    runs go back to the queue."""

    worker: str
    reason: str
    at_once: bool = False


Action = Launch | Terminate


# Dollars that are none: what sums of floating point numbers may be off by.
NO_USD = 1e-9
MIN_TASK_SECONDS = 0.1


class Plan:
    """What is there, what may still be spent, and what was decided. A worker that is released still counts until it
    is gone: its money flows until then."""

    def __init__(
        self,
        demand: Demand,
        workers: Sequence[Worker],
        offers: Sequence[Offer],
        policy: Policy,
        spent_today_usd: float,
        tick_seconds: float,
        now: float,
    ) -> None:
        self.demand = demand
        self.policy = policy
        self.tick_seconds = tick_seconds
        self.now = now
        self.task_seconds = max(demand.task_seconds, MIN_TASK_SECONDS)
        self.actions: list[Action] = []
        self._workers = {worker.id: worker for worker in workers}
        self._offers = list(offers)
        self._left_usd = None if policy.max_usd_per_day is None else policy.max_usd_per_day - spent_today_usd

    @property
    def workers(self) -> list[Worker]:
        """All of them: own ones, rented ones, those that leave."""
        return list(self._workers.values())

    @property
    def rented(self) -> list[Worker]:
        """What is paid for."""
        return [worker for worker in self.workers if worker.is_rented]

    @property
    def staying(self) -> list[Worker]:
        """The rented ones that were not told to go, in the order in which they can be spared: without work, on their
        way (the longest way first), with work; the dearer first."""
        return sorted((worker for worker in self.rented if not worker.is_leaving), key=self._use)

    def _use(self, worker: Worker) -> tuple[float, ...]:
        rank = 1 if not worker.is_ready else 2 if worker.busy else 0
        return rank, -remaining_setup_seconds(worker, self.now), worker.busy, -worker.usd_per_hour, worker.created_at

    def release(self, worker: Worker, reason: str, *, at_once: bool = False) -> None:
        """Give a worker back."""
        self.actions.append(Terminate(worker.id, reason, at_once))
        self._workers[worker.id] = replace(worker, is_leaving=True, busy=0 if at_once else worker.busy)

    def rent(self, offer: Offer, reason: str) -> None:
        """Take an offer."""
        self.actions.append(Launch(offer, reason))
        self._offers.remove(offer)
        self._workers[f"offer {offer.provider} {offer.id}"] = Worker(
            offer.id, offer.provider, True, False, offer.slots, 0, offer.usd_per_hour, self.now, offer.setup_seconds
        )

    def usd(self, seconds: float) -> float:
        """What all that is paid for costs in that time."""
        return sum(worker.usd_per_hour for worker in self.rented) * seconds / HOUR_SECONDS

    def committed_usd(self) -> float:
        """What is still spent until everybody who stays has come up and done one more task, and everybody who leaves
        has gone."""
        return sum(worker.usd_per_hour * self._committed_seconds(worker) for worker in self.rented) / HOUR_SECONDS

    def _committed_seconds(self, worker: Worker) -> float:
        if worker.is_leaving:
            return self.tick_seconds + (self.task_seconds / 2 if worker.busy else 0)
        return self.tick_seconds + remaining_setup_seconds(worker, self.now) + self.task_seconds

    def overspends(self, usd: float) -> bool:
        """Whether spending that much would pass the cap of the day."""
        return self._left_usd is not None and usd > self._left_usd + NO_USD

    def affordable(self) -> Offer | None:
        """The first offer that maximum and caps allow. All that is paid for now is taken to go on until the new
        machine has come up and done a task."""
        if len(self.rented) >= self.policy.maximum:
            return None
        return next((offer for offer in self._offers if self._allows(offer)), None)

    def _allows(self, offer: Offer) -> bool:
        usd_per_hour = self.usd(HOUR_SECONDS) + offer.usd_per_hour
        cap = self.policy.max_usd_per_hour
        if cap is not None and usd_per_hour > cap + NO_USD:
            return False
        setups = [remaining_setup_seconds(worker, self.now) for worker in self.staying]
        task_seconds = max(offer.task_seconds, self.task_seconds)
        seconds = max(offer.setup_seconds, *setups, 0) + task_seconds + self.tick_seconds
        return not self.overspends(usd_per_hour * seconds / HOUR_SECONDS)


# A time that differs by less is the same: sums of Unix seconds are exact to a microsecond or so.
SAME_SECONDS = 1e-3


def remaining_setup_seconds(worker: Worker, now: float) -> float:
    """Seconds until a worker can be expected to take its first task. One that is overdue is taken to need as long
    again as it is late: it is not given up at once, and not waited for for ever."""
    return 0.0 if worker.is_ready else abs(worker.created_at + worker.setup_seconds - now)


def slot_times(workers: Iterable[Worker], task_seconds: float, now: float) -> Iterator[float]:
    """Seconds until each slot takes a task, those of workers on their way too. Tasks that run are taken to be spread
    evenly over their time."""
    for worker in workers:
        if worker.is_leaving or not (worker.is_ready or worker.is_rented):
            continue
        setup_seconds = remaining_setup_seconds(worker, now)
        for slot in range(worker.slots):
            running = (slot + 0.5) / worker.busy * task_seconds if slot < worker.busy else 0.0
            yield setup_seconds + running


def startable(slots: Iterable[float], within_seconds: float, task_seconds: float) -> int:
    """How many tasks can be started within that time, one after the other on each slot."""
    left = (within_seconds + SAME_SECONDS - free_after for free_after in slots)
    return sum(floor(seconds / task_seconds) + 1 for seconds in left if seconds >= 0)


def free_slots(workers: Iterable[Worker]) -> int:
    """Slots that could take a task now."""
    return sum(max(0, worker.slots - worker.busy) for worker in workers if worker.is_ready and not worker.is_leaving)


def coming_slots(workers: Iterable[Worker], now: float) -> int:
    """Slots of rented workers that are on their way and not overdue."""
    coming = (worker for worker in workers if worker.is_rented and not (worker.is_ready or worker.is_leaving))
    return sum(worker.slots for worker in coming if worker.created_at + worker.setup_seconds > now - SAME_SECONDS)


DAY = "the dollars of the day are spent"


def decide(
    demand: Demand,
    workers: Sequence[Worker],
    offers: Sequence[Offer],
    policy: Policy,
    spent_today_usd: float,
    tick_seconds: float,
    now: float,
) -> list[Action]:
    """What to do now; no worker is named twice, and doing it leaves nothing more to do.

    `offers` come in the order of preference of their providers, the best of each first; an offer may be taken once.
    Whatever is paid for must be in `workers`, and what it has cost until now in `spent_today_usd`. The next call comes
    `tick_seconds` later at the latest, and what it gives back is gone at once: no cap may be passed before that.
    """
    draft = Plan(demand, workers, offers, policy, spent_today_usd, tick_seconds, now)
    for rule in (_stop, _wind_down, _retire, _shrink, _send_idle_away, _keep_minimum, _shorten_waits):
        rule(draft)
    return draft.actions


def _stop(draft: Plan) -> None:
    """End what would pass the cap of the day before the next call; tasks that run are lost only if all else is gone."""
    usd = draft.usd(draft.tick_seconds)
    leaving = [worker for worker in draft.rented if worker.is_leaving and worker.busy]
    for worker in draft.staying + leaving:
        if not draft.overspends(usd):
            return
        draft.release(worker, DAY, at_once=worker.busy > 0)
        usd -= worker.usd_per_hour * draft.tick_seconds / HOUR_SECONDS


def _wind_down(draft: Plan) -> None:
    """Give no more tasks to those whose next task would pass the cap of the day."""
    for worker in draft.staying:
        if not draft.overspends(draft.committed_usd()):
            return
        draft.release(worker, DAY)


def _retire(draft: Plan) -> None:
    for worker in draft.staying:
        if draft.now - worker.created_at >= draft.policy.max_age_seconds:
            draft.release(worker, f"older than {draft.policy.max_age_seconds:.0f} s")


def _shrink(draft: Plan) -> None:
    """Obey a policy that has become stricter."""
    maximum, cap = draft.policy.maximum, draft.policy.max_usd_per_hour
    for worker in draft.staying:
        if len(draft.staying) > maximum:
            draft.release(worker, f"more than {maximum} machines")
        elif cap is not None and sum(worker.usd_per_hour for worker in draft.staying) > cap + NO_USD:
            draft.release(worker, f"more than {cap:.12g} dollars an hour")


def _send_idle_away(draft: Plan) -> None:
    """Give back what is idle for too long, but not what the tasks that wait are about to take."""
    spare = free_slots(draft.workers) - draft.demand.waiting
    for worker in draft.staying:
        if len(draft.staying) <= draft.policy.minimum:
            return
        if _is_idle_for_too_long(worker, draft) and worker.slots <= spare:
            draft.release(worker, f"idle for {draft.policy.idle_seconds:.0f} s")
            spare -= worker.slots


def _is_idle_for_too_long(worker: Worker, draft: Plan) -> bool:
    since = worker.idle_since
    return since is not None and draft.now - since >= draft.policy.idle_seconds - SAME_SECONDS


def _keep_minimum(draft: Plan) -> None:
    while len(draft.staying) < draft.policy.minimum and (offer := draft.affordable()):
        draft.rent(offer, f"{draft.policy.minimum} machines are kept")


def _shorten_waits(draft: Plan) -> None:
    while (offer := draft.affordable()) and _is_needed(offer, draft):
        draft.rent(offer, f"{draft.demand.waiting} tasks wait")


def _is_needed(offer: Offer, draft: Plan) -> bool:
    """Whether tasks would wait for too long without the offer, and less with it. Later offers are not looked at: a
    provider is passed over when it has none, and not because it is slower."""
    waiting, target_seconds = draft.demand.waiting, draft.policy.target_wait_seconds
    if free_slots(draft.workers) + coming_slots(draft.workers, draft.now) >= waiting:
        return False
    slots = list(slot_times(draft.workers, draft.task_seconds, draft.now))
    limit_seconds = target_seconds + (offer.setup_seconds if offer.setup_seconds > target_seconds else 0)
    if startable(slots, limit_seconds, draft.task_seconds) < waiting:
        return True
    if any(not worker.is_ready for worker in draft.staying):
        return False
    # Tasks that run took longer than thought: the oldest has waited, and goes on waiting.
    next_seconds = min(slots)
    return draft.demand.oldest_wait_seconds + next_seconds > target_seconds and offer.setup_seconds < next_seconds

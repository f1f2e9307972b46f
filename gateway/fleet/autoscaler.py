"""Autoscaling decisions: a pure function of queue, workers, offers, policy, spending and time.

Times are Unix seconds; tasks that run are assumed to be spread evenly over their duration.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import floor

from gateway.fleet.instances.instance import HOUR_SECONDS

# Tolerances for the rounding of floating point sums: times that differ by less are equal, and so are amounts.
SAME_SECONDS = 1e-3
SAME_USD = 1e-9
MIN_TASK_SECONDS = 0.1

DAILY_CAP = "daily spending cap reached"


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of rented workers and of spending; a cap of None is no cap.

    `minimum` workers are kept (within the caps), `maximum` is never exceeded. A worker idle for `idle_seconds` is
    terminated; one older than `max_age_seconds` is drained. A task should wait `target_wait_seconds` at most, after the
    set-up where the set-up alone takes longer.
    """

    minimum: int = 0
    maximum: int = 3
    idle_seconds: float = 60.0
    target_wait_seconds: float = 60.0
    max_age_seconds: float = 6 * 3600.0
    max_usd_per_hour: float | None = None
    max_usd_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class DueTasks:
    """Waiting tasks of a job that is to be done within so many seconds, below 0 where it is late."""

    tasks: int
    left_seconds: float


@dataclass(frozen=True, slots=True)
class Demand:
    """The queue: tasks waiting for a slot, the longest wait so far, and the mean duration of a task; those of them that
    are `due` by some time."""

    waiting: int
    oldest_wait_seconds: float
    task_seconds: float
    due: tuple[DueTasks, ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """A ready or provisioning encoder. Static encoders (not `is_rented`) cost nothing and are never terminated.

    `busy` counts the running tasks of all gateways. `idle_since` is None while it has tasks or is not ready. A worker
    that `is_draining` takes no more tasks and is billed until it is gone.
    """

    id: str
    is_rented: bool
    is_ready: bool
    slots: int
    busy: int
    usd_per_hour: float
    created_at: float
    setup_seconds: float = 0.0
    idle_since: float | None = None
    is_draining: bool = False

    def remaining_setup_seconds(self, now: float) -> float:
        """Return the expected seconds until it is ready. A worker that is t seconds late is expected in another t
        seconds."""
        return 0.0 if self.is_ready else abs(self.created_at + self.setup_seconds - now)

    def is_on_time(self, now: float) -> bool:
        """Return True if it is not later than its offer promised."""
        return self.created_at + self.setup_seconds > now - SAME_SECONDS


@dataclass(frozen=True, slots=True)
class Offer:
    """Capacity that can be rented now. `id` is the provider's; `setup_seconds` is the time from create to the first
    task; `task_seconds` the expected time of an average task there, 0 if unknown. `host` is the physical host."""

    provider: str
    id: str
    usd_per_hour: float
    setup_seconds: float
    slots: int = 1
    task_seconds: float = 0.0
    host: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fleet at one moment, as the input of `decide`.

    `workers` has every billed one, and `spent_today_usd` their cost until now. `offers` come in the order of preference
    of their providers, the best of each first. `tick_seconds` is the longest time until the next decision.
    """

    now: float
    demand: Demand
    workers: Sequence[Worker]
    offers: Sequence[Offer]
    policy: Policy
    spent_today_usd: float
    tick_seconds: float


@dataclass(frozen=True, slots=True)
class Launch:
    """Rent an instance of this offer."""

    offer: Offer
    reason: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """Drain this worker and terminate it after its last task; if `at_once`, terminate it now and requeue its tasks."""

    worker: str
    reason: str
    at_once: bool = False


Decision = Launch | Terminate


@dataclass
class Plan:
    """The decisions so far, and the fleet as it will be after them. A terminated worker is billed until the next tick,
    so it still counts."""

    fleet: Snapshot
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.task_seconds = max(self.fleet.demand.task_seconds, MIN_TASK_SECONDS)
        self._workers = {worker.id: worker for worker in self.fleet.workers}
        self._offers = list(self.fleet.offers)

    @property
    def rented(self) -> list[Worker]:
        """Return the billed workers."""
        return [worker for worker in self._workers.values() if worker.is_rented]

    @property
    def staying(self) -> list[Worker]:
        """Return the rented workers that are not draining, the most expendable first: idle, then provisioning (the
        longest way to go first), then busy; among equals the most expensive."""
        return sorted((worker for worker in self.rented if not worker.is_draining), key=self._usefulness)

    def _usefulness(self, worker: Worker) -> tuple[float, ...]:
        rank = 1 if not worker.is_ready else 2 if worker.busy else 0
        setup_seconds = worker.remaining_setup_seconds(self.fleet.now)
        return rank, -setup_seconds, worker.busy, -worker.usd_per_hour, worker.created_at

    def terminate(self, worker: Worker, reason: str, *, at_once: bool = False) -> None:
        """Decide to terminate a worker."""
        self.decisions.append(Terminate(worker.id, reason, at_once))
        self._workers[worker.id] = replace(worker, is_draining=True, busy=0 if at_once else worker.busy)

    def launch(self, offer: Offer, reason: str) -> None:
        """Decide to take an offer, which can be taken once."""
        self.decisions.append(Launch(offer, reason))
        self._offers.remove(offer)
        worker = Worker(
            id=f"offer {offer.provider} {offer.id}",
            is_rented=True,
            is_ready=False,
            slots=offer.slots,
            busy=0,
            usd_per_hour=offer.usd_per_hour,
            created_at=self.fleet.now,
            setup_seconds=offer.setup_seconds,
        )
        self._workers[worker.id] = worker

    def usd(self, seconds: float) -> float:
        """Return the cost of all billed workers for a duration."""
        return sum(worker.usd_per_hour for worker in self.rented) * seconds / HOUR_SECONDS

    def committed_usd(self) -> float:
        """Return the cost until every staying worker is ready and has done one more task, and every draining worker is
        gone."""
        return sum(worker.usd_per_hour * self._committed_seconds(worker) for worker in self.rented) / HOUR_SECONDS

    def _committed_seconds(self, worker: Worker) -> float:
        if worker.is_draining:
            return self.fleet.tick_seconds + (self.task_seconds / 2 if worker.busy else 0)
        return self.fleet.tick_seconds + worker.remaining_setup_seconds(self.fleet.now) + self.task_seconds

    def exceeds_daily_cap(self, usd: float) -> bool:
        """Return True if spending this amount would exceed the daily cap."""
        cap = self.fleet.policy.max_usd_per_day
        return cap is not None and self.fleet.spent_today_usd + usd > cap + SAME_USD

    def affordable_offer(self) -> Offer | None:
        """Return the first offer within maximum and caps, if every billed worker stays until the new one has done a
        task."""
        if len(self.rented) >= self.fleet.policy.maximum:
            return None
        return next((offer for offer in self._offers if self._is_affordable(offer)), None)

    def _is_affordable(self, offer: Offer) -> bool:
        usd_per_hour = self.usd(HOUR_SECONDS) + offer.usd_per_hour
        cap = self.fleet.policy.max_usd_per_hour
        if cap is not None and usd_per_hour > cap + SAME_USD:
            return False
        setups = [worker.remaining_setup_seconds(self.fleet.now) for worker in self.staying]
        task_seconds = max(offer.task_seconds, self.task_seconds)
        seconds = max(offer.setup_seconds, *setups, 0) + task_seconds + self.fleet.tick_seconds
        return not self.exceeds_daily_cap(usd_per_hour * seconds / HOUR_SECONDS)

    def free_slots(self) -> int:
        """Return the number of slots that could take a task now."""
        ready = (worker for worker in self._workers.values() if worker.is_ready and not worker.is_draining)
        return sum(max(0, worker.slots - worker.busy) for worker in ready)

    def provisioning_slots(self) -> int:
        """Return the number of slots of rented workers that are provisioning and not overdue."""
        provisioning = (worker for worker in self.staying if not worker.is_ready)
        return sum(worker.slots for worker in provisioning if worker.is_on_time(self.fleet.now))

    def slot_delays(self) -> list[float]:
        """Return the expected seconds until each slot takes its next task, provisioning workers included."""
        delays = []
        for worker in self._workers.values():
            if worker.is_draining or not (worker.is_ready or worker.is_rented):
                continue
            setup_seconds = worker.remaining_setup_seconds(self.fleet.now)
            for slot in range(worker.slots):
                running = (slot + 0.5) / worker.busy * self.task_seconds if slot < worker.busy else 0.0
                delays.append(setup_seconds + running)
        return delays

    def startable_tasks(self, within_seconds: float) -> int:
        """Return the number of tasks that the slots can start within a time, one after the other on each."""
        left = (within_seconds + SAME_SECONDS - delay for delay in self.slot_delays())
        return sum(floor(seconds / self.task_seconds) + 1 for seconds in left if seconds >= 0)


def decide(fleet: Snapshot) -> list[Decision]:
    """Return what to launch and to terminate now. No worker is named twice, and deciding again after it adds nothing.

    No cap is exceeded before the next decision: a worker without tasks that is terminated is gone at once.
    """
    plan = Plan(fleet)
    _stop_at_daily_cap(plan)
    _drain_before_daily_cap(plan)
    _drain_old(plan)
    _obey_limits(plan)
    _terminate_idle(plan)
    _keep_minimum(plan)
    _launch_for_demand(plan)
    return plan.decisions


def _stop_at_daily_cap(plan: Plan) -> None:
    """Terminate what would exceed the daily cap before the next decision; interrupt running tasks last."""
    draining = [worker for worker in plan.rented if worker.is_draining and worker.busy]
    for worker in plan.staying + draining:
        # A worker that drains and has no task goes anyway: to terminate others for its sake would save nothing. The sum
        # is made anew each time: a difference is rounded otherwise than the sum that the next decision begins with.
        billed = [worker for worker in plan.rented if worker.busy or not worker.is_draining]
        usd_per_hour = sum(worker.usd_per_hour for worker in billed)
        if not plan.exceeds_daily_cap(usd_per_hour * plan.fleet.tick_seconds / HOUR_SECONDS):
            return
        plan.terminate(worker, DAILY_CAP, at_once=worker.busy > 0)


def _drain_before_daily_cap(plan: Plan) -> None:
    """Drain workers whose next task would exceed the daily cap."""
    for worker in plan.staying:
        if not plan.exceeds_daily_cap(plan.committed_usd()):
            return
        plan.terminate(worker, DAILY_CAP)


def _drain_old(plan: Plan) -> None:
    max_age_seconds = plan.fleet.policy.max_age_seconds
    for worker in plan.staying:
        if plan.fleet.now - worker.created_at >= max_age_seconds:
            plan.terminate(worker, f"older than {max_age_seconds:.0f} s")


def _obey_limits(plan: Plan) -> None:
    """Drain what exceeds a maximum or an hourly cap that was lowered."""
    maximum, cap = plan.fleet.policy.maximum, plan.fleet.policy.max_usd_per_hour
    for worker in plan.staying:
        if len(plan.staying) > maximum:
            plan.terminate(worker, f"more than {maximum} instances")
        elif cap is not None and sum(worker.usd_per_hour for worker in plan.staying) > cap + SAME_USD:
            plan.terminate(worker, f"more than {cap:.12g} dollars an hour")


def _terminate_idle(plan: Plan) -> None:
    """Terminate workers that were idle for too long, except those that waiting tasks are about to take."""
    idle_seconds = plan.fleet.policy.idle_seconds
    spare = plan.free_slots() - plan.fleet.demand.waiting
    for worker in plan.staying:
        if len(plan.staying) <= plan.fleet.policy.minimum:
            return
        is_idle = worker.idle_since is not None and plan.fleet.now - worker.idle_since >= idle_seconds - SAME_SECONDS
        if is_idle and worker.slots <= spare:
            plan.terminate(worker, f"idle for {idle_seconds:.0f} s")
            spare -= worker.slots


def _keep_minimum(plan: Plan) -> None:
    minimum = plan.fleet.policy.minimum
    while len(plan.staying) < minimum and (offer := plan.affordable_offer()):
        plan.launch(offer, f"minimum of {minimum} instances")


def _launch_for_demand(plan: Plan) -> None:
    while (offer := plan.affordable_offer()) and _is_needed(offer, plan):
        plan.launch(offer, f"{plan.fleet.demand.waiting} tasks waiting")


def _start_late(plan: Plan, starts: list[tuple[float, int]]) -> bool:
    """Return True if tasks would start later than they must: each a limit in seconds, and how many."""
    total = 0
    for limit_seconds, tasks in sorted(starts):
        total += tasks
        if tasks and plan.startable_tasks(limit_seconds) < total:
            return True
    return False


def _is_needed(offer: Offer, plan: Plan) -> bool:
    """Return True if tasks would wait for too long without the offer, and less with it. Later offers do not matter: a
    provider is passed over when it has none, not because it is slower. Those that are to be done by a time that the
    offer can keep may wait so long that they are; others as long as the policy says."""
    demand, target_seconds = plan.fleet.demand, plan.fleet.policy.target_wait_seconds
    if plan.free_slots() + plan.provisioning_slots() >= demand.waiting:
        return False
    dated = [due for due in demand.due if due.left_seconds - plan.task_seconds >= offer.setup_seconds]
    undated = demand.waiting - sum(due.tasks for due in dated)
    limit_seconds = target_seconds + (offer.setup_seconds if offer.setup_seconds > target_seconds else 0)
    starts = [(due.left_seconds - plan.task_seconds, due.tasks) for due in dated]
    if _start_late(plan, [*starts, (limit_seconds, max(undated, 0))]):
        return True
    if undated <= 0 or any(not worker.is_ready for worker in plan.staying):
        return False
    # Running tasks take longer than estimated: the oldest has waited, and goes on waiting.
    next_seconds = min(plan.slot_delays())
    return demand.oldest_wait_seconds + next_seconds > target_seconds and offer.setup_seconds < next_seconds

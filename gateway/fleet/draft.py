"""A decision in the making: the fleet as the actions so far leave it."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.fleet.base import Offer
from gateway.fleet.machine import HOUR_SECONDS
from gateway.fleet.supply import remaining_setup_seconds
from gateway.fleet.terms import Action, Demand, Policy, Release, Rent, Worker

# Dollars that are none: what sums of floating point numbers may be off by.
NO_USD = 1e-9
MIN_TASK_SECONDS = 0.1


class Draft:
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
        self.actions.append(Release(worker.id, reason, at_once))
        self._workers[worker.id] = replace(worker, is_leaving=True, busy=0 if at_once else worker.busy)

    def rent(self, offer: Offer, reason: str) -> None:
        """Take an offer."""
        self.actions.append(Rent(offer, reason))
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

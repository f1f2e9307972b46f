"""What to rent and what to give back: a pure function of queue, workers, prices, policy and time."""

from collections.abc import Sequence

from gateway.fleet.base import Offer
from gateway.fleet.draft import NO_USD, Draft
from gateway.fleet.machine import HOUR_SECONDS
from gateway.fleet.supply import SAME_SECONDS, coming_slots, free_slots, slot_times, startable
from gateway.fleet.terms import Action, Demand, Policy, Release, Rent, Worker

__all__ = ["Action", "Demand", "Policy", "Release", "Rent", "Worker", "decide"]

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
    draft = Draft(demand, workers, offers, policy, spent_today_usd, tick_seconds, now)
    for rule in (_stop, _wind_down, _retire, _shrink, _send_idle_away, _keep_minimum, _shorten_waits):
        rule(draft)
    return draft.actions


def _stop(draft: Draft) -> None:
    """End what would pass the cap of the day before the next call; tasks that run are lost only if all else is gone."""
    usd = draft.usd(draft.tick_seconds)
    leaving = [worker for worker in draft.rented if worker.is_leaving and worker.busy]
    for worker in draft.staying + leaving:
        if not draft.overspends(usd):
            return
        draft.release(worker, DAY, at_once=worker.busy > 0)
        usd -= worker.usd_per_hour * draft.tick_seconds / HOUR_SECONDS


def _wind_down(draft: Draft) -> None:
    """Give no more tasks to those whose next task would pass the cap of the day."""
    for worker in draft.staying:
        if not draft.overspends(draft.committed_usd()):
            return
        draft.release(worker, DAY)


def _retire(draft: Draft) -> None:
    for worker in draft.staying:
        if draft.now - worker.created_at >= draft.policy.max_age_seconds:
            draft.release(worker, f"older than {draft.policy.max_age_seconds:.0f} s")


def _shrink(draft: Draft) -> None:
    """Obey a policy that has become stricter."""
    maximum, cap = draft.policy.maximum, draft.policy.max_usd_per_hour
    for worker in draft.staying:
        if len(draft.staying) > maximum:
            draft.release(worker, f"more than {maximum} machines")
        elif cap is not None and sum(worker.usd_per_hour for worker in draft.staying) > cap + NO_USD:
            draft.release(worker, f"more than {cap:.12g} dollars an hour")


def _send_idle_away(draft: Draft) -> None:
    """Give back what is idle for too long, but not what the tasks that wait are about to take."""
    spare = free_slots(draft.workers) - draft.demand.waiting
    for worker in draft.staying:
        if len(draft.staying) <= draft.policy.minimum:
            return
        if _is_idle_for_too_long(worker, draft) and worker.slots <= spare:
            draft.release(worker, f"idle for {draft.policy.idle_seconds:.0f} s")
            spare -= worker.slots


def _is_idle_for_too_long(worker: Worker, draft: Draft) -> bool:
    since = worker.idle_since
    return since is not None and draft.now - since >= draft.policy.idle_seconds - SAME_SECONDS


def _keep_minimum(draft: Draft) -> None:
    while len(draft.staying) < draft.policy.minimum and (offer := draft.affordable()):
        draft.rent(offer, f"{draft.policy.minimum} machines are kept")


def _shorten_waits(draft: Draft) -> None:
    while (offer := draft.affordable()) and _is_needed(offer, draft):
        draft.rent(offer, f"{draft.demand.waiting} tasks wait")


def _is_needed(offer: Offer, draft: Draft) -> bool:
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

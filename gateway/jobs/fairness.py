"""Whose task is next: a fair order of tenants, by their weights, and of priorities within a tenant. Pure.

Tenants share the slots: next is whose running tasks, by its weight, are the fewest. Where that leaves a choice, turns
go round by weight (start-time fair queuing), and who was away has saved none up.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.callers import DEFAULT_TENANT

# In the order in which a tenant's tasks have their turn.
PRIORITIES = (INTERACTIVE, NORMAL, BATCH) = ("interactive", "normal", "batch")


class Lane(NamedTuple):
    """The tasks of a tenant that have one priority; they have their turn in the order of the queue."""

    tenant: str = DEFAULT_TENANT
    priority: str = NORMAL


@dataclass(frozen=True)
class Share:
    """What a tenant gets: its weight among tenants, and the tasks that it may run at once (None: any number)."""

    weight: float = 1.0
    max_running: int | None = None


EQUAL = Share()
ShareOf = Callable[[str], Share]


@dataclass(eq=False)
class FairOrder:
    """The order of lanes, by what waits and runs on all gateways, and by the turns that this one has given."""

    share_of: ShareOf = lambda tenant: EQUAL
    # Returns the tasks of each tenant that this gateway has in hand, also those that no record calls running yet.
    held: Callable[[], Mapping[str, int]] = dict
    # Tasks of each tenant that run by their records alone: the gateway that had them is gone.
    lost: Counter[str] = field(default_factory=Counter, init=False)
    waiting: Counter[Lane] = field(default_factory=Counter, init=False)
    running: Counter[Lane] = field(default_factory=Counter, init=False)
    _busy: Counter[str] = field(default_factory=Counter, init=False)
    # In turns by weight: where the round is, and where a tenant has come to.
    _now: float = field(default=0.0, init=False)
    _until: dict[str, float] = field(default_factory=dict, init=False)

    def count(self, lane: Lane, waiting: int, running: int) -> None:
        """Count tasks that wait and run, more of them or, below 0, less."""
        for counts, name, change in ((self.waiting, lane, waiting), (self.running, lane, running)):
            _add(counts, name, change)
        _add(self._busy, lane.tenant, running)

    def lanes(self) -> list[Lane]:
        """Return the lanes that may have a task to take, the one whose turn it is first.

        A lane whose tasks all run is among them: the gateway that has them may be gone.
        """
        known = {Lane(), *self.waiting, *self.running}  # the main one also has what no record tells of
        tenants = {lane.tenant for lane in known}
        order = sorted(self._with_room(tenants), key=self._rank)
        lanes = (Lane(tenant, priority) for tenant in order for priority in PRIORITIES)
        return [lane for lane in lanes if lane in known]

    def took(self, lane: Lane) -> None:
        """Count a turn."""
        tenant = lane.tenant
        self._now = max(self._now, self._until.get(tenant, 0.0))
        self._until[tenant] = self._now + 1 / self.share_of(tenant).weight
        self._until = {name: until for name, until in self._until.items() if until > self._now}

    @property
    def busy(self) -> Mapping[str, int]:
        """The tasks that run by their records, by tenant."""
        return self._busy

    def held_back(self) -> Counter[str]:
        """Return the waiting tasks of tenants that their limits do not let run now: more encoders would not help."""
        waiting = Counter[str]()
        for lane, count in self.waiting.items():
            waiting[lane.tenant] += count
        rooms = {tenant: self.share_of(tenant).max_running for tenant in waiting}
        held = {
            tenant: waiting[tenant] - max(0, most - self._busy[tenant])
            for tenant, most in rooms.items()
            if most is not None
        }
        return +Counter(held)

    def is_at_limit(self, tenant: str) -> bool:
        """Return True while a tenant may run no more tasks."""
        return not self._with_room([tenant])

    def _with_room(self, tenants: Iterable[str]) -> list[str]:
        """Return those that may run one more task; of one with lost tasks, these must be taken again."""
        limits = {tenant: self.share_of(tenant).max_running for tenant in tenants}
        held = self.held() if any(most is not None for most in limits.values()) else {}
        found = []
        for tenant, most in limits.items():
            lost = self.lost[tenant]
            at_work = max(self._busy[tenant] - lost, held.get(tenant, 0))
            if most is None or at_work < max(most, min(lost, 1)):
                found.append(tenant)
        return found

    def _rank(self, tenant: str) -> tuple[float, float, str]:
        turn = max(self._now, self._until.get(tenant, 0.0))
        return self._busy[tenant] / self.share_of(tenant).weight, turn, tenant


def _add(counts: Counter[Lane] | Counter[str], name: Lane | str, change: int) -> None:
    """Count, and forget what has come to none."""
    if change:
        counts[name] += change  # type: ignore[index]
        if not counts[name]:  # type: ignore[index]
            del counts[name]

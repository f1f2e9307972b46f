"""Whose task is next: a fair order of tenants, by their weights, and of priorities within a tenant. Pure.

Tenants share the slots: next is whose running tasks, by its weight, are the fewest. Where that leaves a choice, turns
go round by weight (start-time fair queuing), and who was away has saved none up. Within a tenant and a priority, keys
with limits of their own share likewise, with each other and with all other keys together.

An **account** is who is held to limits: a tenant, by its name, or a key of one, by that of `key_account`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.callers import DEFAULT_TENANT

# In the order in which a tenant's tasks have their turn.
PRIORITIES = (INTERACTIVE, NORMAL, BATCH) = ("interactive", "normal", "batch")
_PLACES = {priority: place for place, priority in enumerate(PRIORITIES)}


KEY_ACCOUNT = "key:"
# Turns of lanes in which nothing waits or runs, of which more are forgotten.
MAX_TURNS_KNOWN = 1000


def key_account(key_id: str) -> str:
    """Return the account of a key, which that of no tenant is."""
    return f"{KEY_ACCOUNT}{key_id}"


def key_of(account: str) -> str:
    """Return the id of the key whose account it is; "" for that of a tenant."""
    return account.removeprefix(KEY_ACCOUNT) if account.startswith(KEY_ACCOUNT) else ""


class Lane(NamedTuple):
    """The tasks of a tenant that have one priority; they have their turn in the order of the queue. Those of a key with
    limits of its own (its id; "": of all others) are a lane by themselves, so that its limit holds up no others."""

    tenant: str = DEFAULT_TENANT
    priority: str = NORMAL
    key: str = ""

    @property
    def accounts(self) -> tuple[str, ...]:
        """Whose limits its tasks are held to: those of all of them."""
        return (self.tenant, key_account(self.key)) if self.key else (self.tenant,)


@dataclass(frozen=True)
class Share:
    """What an account gets: its weight among tenants, and the tasks that it may run at once (None: any number)."""

    weight: float = 1.0
    max_running: int | None = None


EQUAL = Share()
ShareOf = Callable[[str], Share]


@dataclass(eq=False)
class FairOrder:
    """The order of lanes, by what waits and runs on all gateways, and by the turns that this one has given."""

    share_of: ShareOf = lambda account: EQUAL
    # Returns the tasks of each account that this gateway has in hand, also those that no record calls running yet.
    held: Callable[[], Mapping[str, int]] = dict
    # Tasks of each account that run by their records alone: the gateway that had them is gone.
    lost: Counter[str] = field(default_factory=Counter, init=False)
    waiting: Counter[Lane] = field(default_factory=Counter, init=False)
    running: Counter[Lane] = field(default_factory=Counter, init=False)
    _busy: Counter[str] = field(default_factory=Counter, init=False)
    # In turns by weight: where the round is, and where a tenant has come to.
    _now: float = field(default=0.0, init=False)
    _until: dict[str, float] = field(default_factory=dict, init=False)
    # The last turns of lanes, by which those of a tenant that have one priority take theirs.
    _turns: dict[Lane, int] = field(default_factory=dict, init=False)
    _turn: int = field(default=0, init=False)

    def count(self, lane: Lane, waiting: int, running: int) -> None:
        """Count tasks that wait and run, more of them or, below 0, less."""
        for counts, name, change in ((self.waiting, lane, waiting), (self.running, lane, running)):
            _add(counts, name, change)
        for account in lane.accounts:
            _add(self._busy, account, running)

    def lanes(self) -> list[Lane]:
        """Return the lanes that may have a task to take, the one whose turn it is first.

        A lane whose tasks all run is among them: the gateway that has them may be gone.
        """
        known = {Lane(), *self.waiting, *self.running}  # the main one also has what no record tells of
        ranks = {tenant: self._rank(tenant) for tenant in {lane.tenant for lane in known}}
        lanes = self.with_room(lane for lane in known if lane.priority in _PLACES)
        return sorted(lanes, key=lambda lane: (ranks[lane.tenant], _PLACES[lane.priority], self._rank_of(lane)))

    def with_room(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Return those of the lanes whose tenant and key may run one more task."""
        given = list(lanes)
        found = self._with_room({account for lane in given for account in lane.accounts})
        return [lane for lane in given if found.issuperset(lane.accounts)]

    def took(self, lane: Lane) -> None:
        """Count a turn."""
        tenant = lane.tenant
        self._now = max(self._now, self._until.get(tenant, 0.0))
        self._until[tenant] = self._now + 1 / self.share_of(tenant).weight
        self._until = {name: until for name, until in self._until.items() if until > self._now}
        self._turn += 1
        self._turns[lane] = self._turn
        if len(self._turns) > 2 * (len(self.waiting) + len(self.running)) + MAX_TURNS_KNOWN:
            self._turns = {one: turn for one, turn in self._turns.items() if one in self.waiting or one in self.running}

    @property
    def busy(self) -> Mapping[str, int]:
        """The tasks that run by their records, by account."""
        return self._busy

    def held_back(self) -> Counter[str]:
        """Return the waiting tasks of accounts that their limits do not let run now: more encoders would not help. A
        task that the limit of its key holds back is not counted with its tenant's."""
        waiting, held = Counter[str](), Counter[str]()
        for lane, count in self.waiting.items():
            waiting[lane.accounts[-1]] += count
        tenants = {lane.accounts[-1]: lane.tenant for lane in self.waiting}
        for account in [account for account in waiting if key_of(account)]:
            held[account] = self._without_room(account, waiting[account])
            waiting[tenants[account]] += waiting.pop(account) - held[account]
        for tenant, count in waiting.items():
            held[tenant] = self._without_room(tenant, count)
        return +held

    def _without_room(self, account: str, waiting: int) -> int:
        most = self.share_of(account).max_running
        return 0 if most is None else max(0, waiting - max(0, most - self._busy[account]))

    def at_limit(self, accounts: Iterable[str]) -> str | None:
        """Return the first account that may run no more tasks; None where all may."""
        given = tuple(accounts)
        has_room = self._with_room(given)
        return next((account for account in given if account not in has_room), None)

    def _with_room(self, accounts: Iterable[str]) -> set[str]:
        """Return those that may run one more task; of one with lost tasks, these must be taken again."""
        limits = {account: self.share_of(account).max_running for account in accounts}
        held = self.held() if any(most is not None for most in limits.values()) else {}
        found = set()
        for account, most in limits.items():
            lost = self.lost[account]
            at_work = max(self._busy[account] - lost, held.get(account, 0))
            if most is None or at_work < max(most, min(lost, 1)):
                found.add(account)
        return found

    def _rank(self, tenant: str) -> tuple[float, float, str]:
        turn = max(self._now, self._until.get(tenant, 0.0))
        return self._busy[tenant] / self.share_of(tenant).weight, turn, tenant

    def _rank_of(self, lane: Lane) -> tuple[int, int, str]:
        """Return what sorts the lanes of a tenant that have one priority: who was away has one turn, and none saved."""
        return self.running[lane], self._turns.get(lane, 0), lane.key


def _add(counts: Counter[Lane] | Counter[str], name: Lane | str, change: int) -> None:
    """Count, and forget what has come to none."""
    if change:
        counts[name] += change  # type: ignore[index]
        if not counts[name]:  # type: ignore[index]
            del counts[name]

"""A fleet in fast motion: arrivals of videos, machines with prices and set-ups, and the gateway's own autoscaler,
called on every change and once a tick. No I/O; the same seed gives the same."""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from bench.arrivals import DAY_SECONDS, Arrival, Seconds
from gateway.fleet import autoscaler
from gateway.fleet.autoscaler import Decision, Demand, Launch, Offer, Policy, Snapshot, Worker
from gateway.fleet.estimates import Estimates
from gateway.fleet.instances.instance import HOUR_SECONDS
from gateway.fleet.providers.runpod import provider as runpod
from gateway.fleet.providers.vast import provider as vast

OPERATION = "caption"
NEVER = math.inf
SETUP_SECONDS = {"runpod": runpod.SETUP_SECONDS, "vast": vast.SETUP_SECONDS}

Decide = Callable[[Snapshot], list[Decision]]


@dataclass(frozen=True)
class Market:
    """Somebody who rents machines out: price, the least and the most that a set-up takes, the share of machines that
    never come up (given up, and paid, after `patience_seconds`), how many can be had at once."""

    provider: str
    usd_per_hour: float
    setup: Seconds
    failing: float = 0.0
    patience_seconds: float = 300.0
    available: int = 1000
    slots: int = 1


@dataclass
class Machine:
    """A machine, or an own encoder (without a market), while it is there. `running` has the end and the arrival of
    each task."""

    id: str
    market: Market | None
    created_at: float
    setup_seconds: float
    ready_at: float
    gives_up_at: float = NEVER
    slots: int = 1
    running: list[tuple[float, float, Arrival]] = field(default_factory=list)
    idle_since: float | None = None
    is_ready: bool = False
    is_draining: bool = False

    @property
    def usd_per_hour(self) -> float:
        """What it costs; an own one nothing."""
        return self.market.usd_per_hour if self.market else 0.0

    @property
    def next_at(self) -> float:
        """When something happens to it next."""
        ends = min((end for end, *_ in self.running), default=NEVER)
        return ends if self.is_ready else min(self.ready_at, self.gives_up_at)

    def as_worker(self) -> Worker:
        """Return it as the autoscaler sees it."""
        rented = self.market is not None
        times = (self.created_at, self.setup_seconds, self.idle_since)
        busy = len(self.running)
        return Worker(self.id, rented, self.is_ready, self.slots, busy, self.usd_per_hour, *times, self.is_draining)


@dataclass(frozen=True, slots=True)
class Moment(Snapshot):
    """The fleet at one moment, and what the autoscaler decided."""

    decisions: Sequence[Decision] = ()


@dataclass
class Outcome:
    """What a trace came to: dollars, seconds that each task waited for its encoder, seconds of rented machines by what
    they did, the most machines at once, tasks that were begun again."""

    waits: list[float] = field(default_factory=list)
    setup_seconds: float = 0.0
    busy_seconds: float = 0.0
    idle_seconds: float = 0.0
    peak: int = 0
    rented: int = 0
    restarts: int = 0
    ended_at: float = 0.0
    # Dollars by day, counted from the start.
    days: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def usd(self) -> float:
        """Dollars in all."""
        return sum(self.days.values())

    @property
    def mean_wait_seconds(self) -> float:
        """On average."""
        return sum(self.waits) / len(self.waits)

    def wait_seconds(self, share: float) -> float:
        """What that share of the tasks waited at most."""
        return sorted(self.waits)[math.ceil(share * len(self.waits)) - 1]


class Simulation:
    """One run. `own` encoders cost nothing and are there from the start."""

    def __init__(
        self,
        arrivals: Sequence[Arrival],
        policy: Policy,
        markets: Sequence[Market],
        *,
        own: int = 0,
        seed: int = 0,
        tick_seconds: float = 1.0,
        decide: Decide = autoscaler.decide,
        observe: Callable[[Moment], None] = lambda moment: None,
        until: float = NEVER,
    ) -> None:
        self._arrivals = deque(arrivals)
        self._policy = policy
        self._markets = markets
        self._chance = Random(seed)
        self._tick_seconds = tick_seconds
        self._decide = decide
        self._observe = observe
        self._until = until
        self._now = 0.0
        self._tick_at = 0.0
        self._waiting: deque[Arrival] = deque()
        self._machines = [Machine(f"own {number}", None, 0, 0, 0, is_ready=True) for number in range(own)]
        self._estimates = Estimates()
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """To the end: no task is left and nothing rented, or `until` has come."""
        while self._now < self._until and (self._arrivals or self._waiting or self._is_something_going_on):
            self._pass_time(self._next_at())
            self._settle_machines()
            while self._arrivals and self._arrivals[0].at <= self._now:
                self._waiting.append(self._arrivals.popleft())
            self._dispatch()
            self._scale()
        self._outcome.ended_at = self._now
        return self._outcome

    @property
    def _rented(self) -> list[Machine]:
        return [machine for machine in self._machines if machine.market]

    @property
    def _is_something_going_on(self) -> bool:
        return any(machine.market or machine.running for machine in self._machines)

    def _next_at(self) -> float:
        times = [machine.next_at for machine in self._machines]
        if self._arrivals:
            times.append(self._arrivals[0].at)
        if self._waiting or self._rented:
            times += self._tick_at, (self._today + 1) * DAY_SECONDS
        return max(self._now, min(times))

    def _pass_time(self, to: float) -> None:
        seconds = to - self._now
        for machine in self._rented:
            self._outcome.days[self._today] += machine.usd_per_hour * seconds / HOUR_SECONDS
            kind = "setup" if not machine.is_ready else "busy" if machine.running else "idle"
            name = f"{kind}_seconds"
            setattr(self._outcome, name, getattr(self._outcome, name) + seconds)
        self._now = to

    @property
    def _today(self) -> int:
        return int(self._now // DAY_SECONDS)

    def _settle_machines(self) -> None:
        """What has come up, given up or ended a task by now."""
        for machine in list(self._machines):
            if machine.next_at > self._now:
                continue
            if not machine.is_ready:
                self._settle_start(machine)
            ended = [run for run in machine.running if run[0] <= self._now]
            for run in ended:
                machine.running.remove(run)
                self._estimates = self._estimates.with_task(OPERATION, run[2].task_seconds)
                self._outcome.waits.append(run[1] - run[2].at)
            if machine.is_ready and not machine.running:
                self._let_rest(machine)

    def _settle_start(self, machine: Machine) -> None:
        if machine.gives_up_at <= self._now:
            self._machines.remove(machine)
        else:
            machine.is_ready = True
            if machine.market:
                seconds = self._now - machine.created_at
                self._estimates = self._estimates.with_setup(
                    machine.market.provider, seconds, SETUP_SECONDS[machine.market.provider]
                )

    def _let_rest(self, machine: Machine) -> None:
        machine.idle_since = self._now
        if machine.is_draining:
            self._machines.remove(machine)

    def _dispatch(self) -> None:
        """As the gateway does: a task that waits takes a slot at once, of the encoder with the most free ones."""
        while self._waiting:
            there = [machine for machine in self._machines if machine.is_ready and not machine.is_draining]
            machine = max(there, key=lambda machine: machine.slots - len(machine.running), default=None)
            if machine is None or len(machine.running) >= machine.slots:
                return
            task = self._waiting.popleft()
            machine.running.append((self._now + task.task_seconds, self._now, task))
            machine.idle_since = None

    def _scale(self) -> None:
        self._tick_at = self._now + self._tick_seconds
        waiting = len(self._waiting)
        oldest_seconds = self._now - self._waiting[0].at if waiting else 0.0
        demand = Demand(waiting, oldest_seconds, self._estimates.task_seconds(OPERATION))
        workers = [machine.as_worker() for machine in self._machines]
        offers = self._offers()
        spent_usd = self._outcome.days[self._today]
        moment = Moment(self._now, demand, workers, offers, self._policy, spent_usd, self._tick_seconds)
        decisions = self._decide(moment)
        self._observe(replace(moment, decisions=decisions))
        for decision in decisions:
            if isinstance(decision, Launch):
                self._rent(decision.offer)
            else:
                self._release(decision.worker, decision.at_once)
        self._outcome.peak = max(self._outcome.peak, len(self._rented))

    def _offers(self) -> list[Offer]:
        """Nobody asks for more than could be used."""
        offers = []
        for market in self._markets:
            taken = sum(machine.market is market for machine in self._machines)
            setup_seconds = self._estimates.setup_seconds(market.provider, SETUP_SECONDS[market.provider])
            for number in range(min(market.available - taken, self._policy.maximum, len(self._waiting) + 1)):
                offer = Offer(market.provider, str(number), market.usd_per_hour, setup_seconds, market.slots)
                offers.append(offer)
        return offers

    def _rent(self, offer: Offer) -> None:
        market = next(market for market in self._markets if market.provider == offer.provider)
        self._outcome.rented += 1
        ready_at, gives_up_at = self._now + self._chance.uniform(*market.setup), NEVER
        if self._chance.random() < market.failing:
            ready_at, gives_up_at = NEVER, self._now + market.patience_seconds
        name = f"{market.provider} {self._outcome.rented}"
        times = (self._now, offer.setup_seconds, ready_at, gives_up_at)
        self._machines.append(Machine(name, market, *times, market.slots))

    def _release(self, name: str, at_once: bool) -> None:
        machine = next(machine for machine in self._machines if machine.id == name)
        machine.is_draining = True
        if at_once:
            self._outcome.restarts += len(machine.running)
            self._waiting.extendleft(task for _, _, task in reversed(machine.running))
            machine.running.clear()
        if not machine.running:
            self._machines.remove(machine)

"""The control: keeps the fleet as the scaler wants it. It runs on every gateway; the one that holds the lease acts."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from gateway.cluster.assignments import TaskAssignments
from gateway.cluster.leader import LeaderLease
from gateway.fleet import billing
from gateway.fleet.autoscaler import Demand, Launch, Policy, Snapshot, Terminate, Worker, decide
from gateway.fleet.estimates import EstimateStore
from gateway.fleet.instances import instance
from gateway.fleet.instances.instance import Instance, InstanceState
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.lifecycle import InstanceLifecycle, LifecycleTimeouts, WorkerSlotLifecycle
from gateway.fleet.providers.base import InstanceProvider, Offer, Provider
from gateway.fleet.providers.monitor import BACKOFF, InstanceMonitor, ProviderMonitor
from gateway.workers.pool import Pool, PoolMember
from servicekit.backoff import Backoff
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("fleet")

CLOSE_SECONDS = 5.0
# Longer than costs are told of.
RETENTION_SECONDS = 40 * 86_400.0


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often things are done, seconds."""

    tick_seconds: float = 1.0
    lease_seconds: float = 15.0
    # The provider's list, while a machine is on its way, and else.
    look_seconds: float = 5.0
    reconcile_seconds: float = 120.0
    shop_seconds: float = 15.0
    # After which every gateway has told of a run that began.
    lost_seconds: float = 30.0
    # Pauses after failed calls to a provider.
    backoff: Backoff = BACKOFF
    # Records of machines that ended are kept for so long.
    retention_seconds: float = RETENTION_SECONDS
    # And of those that were never made.
    plan_retention_seconds: float = 3600.0


class FleetController:
    """Runs from `start` to `close`. `demand` tells of the queue. Of the providers those that are `rentable` are rented
    from, in that order; the others' machines live out their time."""

    def __init__(
        self,
        register: InstanceRegistry,
        lease: LeaderLease,
        providers: Mapping[str, Provider],
        pool: Pool,
        policy: Policy,
        rentable: Sequence[str],
        fleet_name: str,
        demand: Callable[[float], Demand],
        holders: TaskAssignments,
        knowledge: EstimateStore,
        patience: LifecycleTimeouts,
        rhythm: Intervals,
    ) -> None:
        self._register = register
        self._lease = lease
        self._pool = pool
        self._rentable = rentable
        self._fleet_name = fleet_name
        self._demand = demand
        self._holders = holders
        self._rhythm = rhythm
        self.markets: dict[str, ProviderMonitor] = {}
        self._instances: dict[str, tuple[InstanceMonitor, InstanceLifecycle]] = {}
        self._lives: dict[str, InstanceLifecycle | WorkerSlotLifecycle] = {}
        for name, provider in providers.items():
            if isinstance(provider, InstanceProvider):
                monitor = InstanceMonitor(provider, rhythm.backoff)
                lifecycle = InstanceLifecycle(register, monitor, pool, knowledge, patience)
                self.markets[name], self._lives[name] = monitor, lifecycle
                self._instances[name] = monitor, lifecycle
            else:
                self.markets[name] = ProviderMonitor(provider, rhythm.backoff)
                self._lives[name] = WorkerSlotLifecycle(register, pool, patience)
        # Who keeps no instances up is no place for a minimum of them.
        keeps = any(name in self._instances for name in rentable)
        self._policy = policy if keeps else replace(policy, minimum=0)
        self._swept_at = 0.0
        self._checked_at: dict[str, float] = {}
        self._loop: asyncio.Task[None] | None = None

    def rented_from(self) -> list[tuple[str, ProviderMonitor]]:
        """The providers that are rented from, in the order of preference."""
        return [(name, self.markets[name]) for name in self._rentable]

    def start(self) -> None:
        """Begin."""
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop acting, and let another gateway act at once. Machines live on: they belong to the fleet."""
        if self._loop is not None:
            await cancel_and_wait(self._loop)
        for _, lifecycle in self._instances.values():
            await lifecycle.close()
        for market in self.markets.values():
            await market.close()
            await market.provider.close()
        with contextlib.suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._lease.give_up()

    async def _run(self) -> None:
        while True:
            try:
                if self._lease.is_fresh or await self._lease.renew():
                    await self._act()
            except ServiceError as error:
                log.warning("cannot look after the fleet", error=error.message)
            except Exception:
                log.exception("unexpected error in the control of the fleet")
            await asyncio.sleep(self._rhythm.tick_seconds)

    async def _act(self) -> None:
        now = time.time()
        living = self._register.living()
        self._look(living)
        for machine in living:
            if (life := self._lives.get(machine.provider)) and self._lease.is_held:
                await _apart(self._end_lost_runs(machine, now), machine.id)
                await _apart(life.step(machine), machine.id)
        if now - self._swept_at > self._rhythm.reconcile_seconds:
            self._swept_at = now
            await _apart(self._sweep(now), "the sweep")
        self._destroy_strays()
        await self._scale(now)

    def _look(self, living: list[Instance]) -> None:
        for name, (monitor, _) in self._instances.items():
            hurry = any(machine.provider == name and machine.state is InstanceState.PROVISIONING for machine in living)
            monitor.refresh_instances(self._rhythm.look_seconds if hurry else self._rhythm.reconcile_seconds / 2)

    def _destroy_strays(self) -> None:
        """Once for each list that a provider gave."""
        for name, (monitor, lifecycle) in self._instances.items():
            if monitor.instances_at > self._checked_at.get(name, 0.0):
                self._checked_at[name] = monitor.instances_at
                lifecycle.destroy_strays(lambda text: instance.is_label_of(self._fleet_name, text))

    async def _sweep(self, now: float) -> None:
        """Forget what is long over, and tell of machines that nobody here can give back."""
        await self._register.prune(now - self._rhythm.retention_seconds, now - self._rhythm.plan_retention_seconds)
        await self._holders.expire_dead()
        for machine in self._register.living():
            if machine.provider not in self._lives:
                log.error("a machine is paid for whose provider is not set up", machine=machine.id, of=machine.provider)

    async def _end_lost_runs(self, machine: Instance, now: float) -> None:
        """End runs that no gateway has in hand: theirs died. One that has just begun may not have been told of yet."""
        held = self._holders.assigned()
        for run in machine.running:
            if run.started_at < now - self._rhythm.lost_seconds and held.get(run.task) != machine.id:
                log.warning("a run is ended whose gateway is gone", machine=machine.id, task=run.task)
                await self._register.change(machine.id, lambda m, t=run.task: m.run_ended(t, now))  # type: ignore[misc]

    async def _scale(self, now: float) -> None:
        demand = self._demand(now)
        for _, market in self.rented_from():
            if isinstance(market, InstanceMonitor):
                market.instance_provider.set_workload(max(1, demand.waiting), demand.task_seconds)
            if demand.waiting or self._policy.minimum:
                market.refresh_offers(self._rhythm.shop_seconds)
        snapshot = Snapshot(
            now=now,
            demand=demand,
            workers=self._workers(),
            offers=self._offers(now),
            policy=self._policy,
            spent_today_usd=billing.spent_today(self._register.all(), now),
            tick_seconds=self._rhythm.tick_seconds * 2,
        )
        for decision in decide(snapshot):
            if not self._lease.is_held:
                return
            if isinstance(decision, Launch):
                await self._rent(decision.offer, decision.reason, now)
            else:
                await self._release(decision)

    def _offers(self, now: float) -> list[Offer]:
        """What the providers have told lately, without what was taken since."""
        told_after = now - 2 * self._rhythm.shop_seconds
        taken = {(machine.provider, machine.offer) for machine in self._register.living()}
        markets = [market for _, market in self.rented_from() if market.offers_at > told_after]
        told = [offer for market in markets for offer in market.offers]
        return [offer for offer in told if (offer.provider, offer.id) not in taken]

    def _workers(self) -> list[Worker]:
        own = [_own_worker(seat) for seat in self._pool.seats if not seat.is_rented and seat.ready]
        return own + [self._rented_worker(machine) for machine in self._register.living()]

    def _rented_worker(self, machine: Instance) -> Worker:
        return Worker(
            id=machine.id,
            provider=machine.provider,
            is_rented=True,
            is_ready=machine.state is InstanceState.READY,
            is_draining=machine.draining or machine.state is InstanceState.TERMINATING,
            slots=machine.slots,
            busy=len(machine.running),
            usd_per_hour=machine.usd_per_hour,
            created_at=machine.created_at,
            setup_seconds=machine.setup_seconds,
            idle_since=machine.idle_since(),
        )

    async def _rent(self, offer: Offer, reason: str, now: float) -> None:
        self.markets[offer.provider].consume(offer)
        machine = Instance(
            id=instance.new_label(self._fleet_name),
            provider=offer.provider,
            usd_per_hour=offer.usd_per_hour,
            created_at=now,
            slots=offer.slots,
            setup_seconds=offer.setup_seconds,
            description=offer.description,
            offer=offer.id,
            host=offer.host,
        )
        log.info("renting", machine=machine.id, offer=offer.description, usd_per_hour=offer.usd_per_hour, why=reason)
        await self._lives[offer.provider].rent(machine, offer)

    async def _release(self, action: Terminate) -> None:
        log.info("giving back", machine=action.worker, at_once=action.at_once, why=action.reason)
        await self._register.change(
            action.worker, lambda m: m.terminate(action.reason) if action.at_once else m.drain(action.reason)
        )


async def _apart(step: Awaitable[None], of: str) -> None:
    """What goes wrong with one machine keeps no other from its step."""
    try:
        await step
    except ServiceError as error:
        log.warning("a step failed; it is taken again", of=of, error=error.message)
    except Exception:
        log.exception("unexpected error in a step; it is taken again", of=of)


def _own_worker(seat: PoolMember) -> Worker:
    return Worker(seat.encoder.name, "static", False, True, seat.slots, max(seat.busy, seat.used), 0.0, 0.0)


class Queue(Protocol):
    """The tasks of all jobs, by their records."""

    tasks_waiting: int
    tasks_running: int

    def oldest_wait_seconds(self, now: float) -> float:
        """Seconds that the oldest waiting task has waited."""

    def operations_waiting(self) -> dict[str, int]:
        """Waiting tasks by operation."""


def demand(queue: Queue, holders: TaskAssignments, knowledge: EstimateStore, now: float) -> Demand:
    """The tasks that wait for a slot: those that no gateway has in hand. By its record one may run, and its gateway be
    dead; or wait, while RunPod starts a worker for it."""
    return Demand(
        waiting=max(0, queue.tasks_waiting + queue.tasks_running - len(holders.assigned())),
        oldest_wait_seconds=queue.oldest_wait_seconds(now),
        task_seconds=knowledge.estimates.mean_task_seconds(queue.operations_waiting()),
    )

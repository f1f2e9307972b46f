"""The fleet controller: reconciles instances and scales the fleet. It runs on every gateway; the leader alone acts."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from gateway.cluster.assignments import TaskAssignments
from gateway.cluster.leader import LeaderLease
from gateway.fleet import billing
from gateway.fleet.autoscaler import Decision, Demand, DueTasks, Launch, Offer, Policy, Snapshot, Worker, decide
from gateway.fleet.estimates import EstimateStore
from gateway.fleet.instances.instance import Instance, InstanceState, new_label
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.lifecycle import InstanceLifecycle, Lifecycle, LifecycleTimeouts
from gateway.fleet.providers.base import InstanceProvider
from gateway.fleet.providers.monitor import BACKOFF, ProviderMonitor
from gateway.workers.pool import Pool
from servicekit.backoff import Backoff
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait, log_and_continue

log = structlog.get_logger("gateway.fleet")

CLOSE_SECONDS = 5.0
# Longer than any period that costs are shown for.
RETENTION_SECONDS = 40 * 86_400.0


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals of the controller in seconds."""

    tick_seconds: float = 1.0
    lease_seconds: float = 15.0
    # Between two lists of a provider while an instance is provisioning; half of `reconcile_seconds` otherwise.
    provisioning_list_seconds: float = 5.0
    reconcile_seconds: float = 120.0
    offers_seconds: float = 15.0
    # From the start of a run, after which every gateway has published that it has it.
    orphaned_seconds: float = 30.0
    # Pauses after failed calls to a provider.
    backoff: Backoff = BACKOFF
    # Retention of the records of terminated instances, and of requests that came to nothing.
    retention_seconds: float = RETENTION_SECONDS
    request_retention_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """The name of a fleet, its limits, its intervals, and the providers to rent from in the order of preference.

    Instances of other providers are kept until they terminate.
    """

    name: str
    policy: Policy
    rentable: Sequence[str] = ()
    timeouts: LifecycleTimeouts = field(default_factory=LifecycleTimeouts)
    intervals: Intervals = field(default_factory=Intervals)


class Queue(Protocol):
    """The tasks of all jobs, by their records."""

    @property
    def tasks_waiting(self) -> int:
        """How many tasks wait for an encoder."""

    @property
    def tasks_held_back(self) -> int:
        """How many of them limits of their tenants do not let run now."""

    @property
    def tasks_running(self) -> int:
        """How many tasks run."""

    def oldest_wait_seconds(self, now: float) -> float:
        """Return the seconds that the oldest waiting task has waited."""

    def operations_waiting(self) -> dict[str, int]:
        """Return the number of waiting tasks by operation."""

    def deadlines(self) -> list[tuple[float, int]]:
        """Return when jobs are to be done (Unix seconds), and how many of their tasks wait."""


def current_demand(queue: Queue, assignments: TaskAssignments, estimate_store: EstimateStore, now: float) -> Demand:
    """Return the tasks that wait for a slot: those that no gateway has assigned. By its record one may be running, and
    its gateway dead; or waiting, while RunPod starts a worker for it. Those that no encoder would help are left out."""
    tasks = queue.tasks_waiting - queue.tasks_held_back + queue.tasks_running
    return Demand(
        waiting=max(0, tasks - len(assignments.assigned())),
        oldest_wait_seconds=queue.oldest_wait_seconds(now),
        task_seconds=estimate_store.estimates.mean_task_seconds(queue.operations_waiting()),
        due=tuple(DueTasks(tasks, deadline - now) for deadline, tasks in queue.deadlines()),
    )


@dataclass(eq=False)
class FleetController:
    """Runs from `start` to `close`. `lifecycles` has every provider that is set up, by name."""

    config: FleetConfig
    registry: InstanceRegistry
    lease: LeaderLease
    assignments: TaskAssignments
    estimate_store: EstimateStore
    pool: Pool
    queue: Queue
    lifecycles: Mapping[str, Lifecycle]
    _pruned_at: float = field(default=0.0, init=False)
    _loop: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def monitors(self) -> dict[str, ProviderMonitor]:
        """Return the monitor of each provider."""
        return {name: lifecycle.monitor for name, lifecycle in self.lifecycles.items()}

    @property
    def rentable_monitors(self) -> list[ProviderMonitor]:
        """Return the monitors of the providers to rent from, in the order of preference."""
        return [self.lifecycles[name].monitor for name in self.config.rentable if name in self.lifecycles]

    def start(self) -> None:
        """Start the loop."""
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop, and let another gateway lead at once. Instances keep running: they belong to the fleet."""
        if self._loop is not None:
            await cancel_and_wait(self._loop)
        for lifecycle in self.lifecycles.values():
            await lifecycle.close()
        with contextlib.suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.lease.give_up()

    async def _run(self) -> None:
        while True:
            with log_and_continue("cannot reconcile the fleet"):
                if self.lease.is_fresh or await self.lease.renew():
                    await self._reconcile()
            await asyncio.sleep(self.config.intervals.tick_seconds)

    async def _reconcile(self) -> None:
        now = time.time()
        instances = self.registry.living()
        self._refresh(instances)
        for instance in instances:
            if (lifecycle := self.lifecycles.get(instance.provider)) and self.lease.is_held:
                await _isolated(self._end_orphaned_runs(instance, now), instance.id)
                await _isolated(lifecycle.reconcile(instance), instance.id)
        if now - self._pruned_at > self.config.intervals.reconcile_seconds:
            self._pruned_at = now
            await _isolated(self._prune(now), "records")
        for lifecycle in self.lifecycles.values():
            if isinstance(lifecycle, InstanceLifecycle):
                lifecycle.destroy_strays()
        await self._scale(now)

    def _refresh(self, instances: list[Instance]) -> None:
        intervals = self.config.intervals
        provisioning = {instance.provider for instance in instances if instance.state is InstanceState.PROVISIONING}
        for name, monitor in self.monitors.items():
            is_urgent = name in provisioning
            monitor.refresh_instances(
                intervals.provisioning_list_seconds if is_urgent else intervals.reconcile_seconds / 2
            )

    async def _prune(self, now: float) -> None:
        """Delete expired records, and report billed instances that this gateway cannot terminate."""
        intervals = self.config.intervals
        await self.registry.prune(now - intervals.retention_seconds, now - intervals.request_retention_seconds)
        await self.assignments.expire_dead()
        for instance in self.registry.living():
            if instance.provider not in self.lifecycles:
                text = "instance is billed but its provider is not configured; set its API key to terminate it"
                log.error(text, instance=instance.id, provider=instance.provider)

    async def _end_orphaned_runs(self, instance: Instance, now: float) -> None:
        """End runs whose gateway died: no gateway has them assigned. A run that has just started may not be published
        yet."""
        assigned = self.assignments.assigned()
        for run in instance.running:
            if run.started_at < now - self.config.intervals.orphaned_seconds and assigned.get(run.task) != instance.id:
                log.warning("ending a run whose gateway is gone", instance=instance.id, task=run.task)
                await self.registry.end_run(instance.id, run.task, now)

    async def _scale(self, now: float) -> None:
        policy = self._policy()
        demand = current_demand(self.queue, self.assignments, self.estimate_store, now)
        for monitor in self.rentable_monitors:
            if isinstance(monitor.provider, InstanceProvider):
                monitor.provider.set_workload(max(1, demand.waiting), demand.task_seconds)
            if demand.waiting or policy.minimum:
                monitor.refresh_offers(self.config.intervals.offers_seconds)
        snapshot = Snapshot(
            now=now,
            demand=demand,
            workers=self._workers(),
            offers=self._offers(now),
            policy=policy,
            spent_today_usd=billing.spent_today(self.registry.all(), now),
            tick_seconds=self.config.intervals.tick_seconds * 2,
        )
        for decision in decide(snapshot):
            if not self.lease.is_held:
                return
            await self._apply(decision, now)

    def _policy(self) -> Policy:
        """Return the policy, without a minimum where only serverless providers are rented from: they keep no idle
        worker up."""
        keeps_instances = any(isinstance(monitor.provider, InstanceProvider) for monitor in self.rentable_monitors)
        return self.config.policy if keeps_instances else replace(self.config.policy, minimum=0)

    def _offers(self, now: float) -> list[Offer]:
        """Return the recent offers of the providers, without those that were taken since."""
        oldest = now - 2 * self.config.intervals.offers_seconds
        taken = {(instance.provider, instance.offer) for instance in self.registry.living()}
        monitors = [monitor for monitor in self.rentable_monitors if monitor.offers_at > oldest]
        offers = [offer for monitor in monitors for offer in monitor.offers]
        return [offer for offer in offers if (offer.provider, offer.id) not in taken]

    def _workers(self) -> list[Worker]:
        static = [
            Worker(member.encoder.name, False, True, member.slots, max(member.busy, member.used), 0.0, 0.0)
            for member in self.pool.members
            if not member.is_rented and member.ready
        ]
        return static + [_worker(instance) for instance in self.registry.living()]

    async def _apply(self, decision: Decision, now: float) -> None:
        if isinstance(decision, Launch):
            await self._launch(decision, now)
            return
        at_once, reason = decision.at_once, decision.reason
        log.info("terminating instance", instance=decision.worker, at_once=at_once, reason=reason)
        await self.registry.update(
            decision.worker, lambda known: known.terminate(reason) if at_once else known.drain(reason)
        )

    async def _launch(self, decision: Launch, now: float) -> None:
        offer = decision.offer
        lifecycle = self.lifecycles[offer.provider]
        lifecycle.monitor.consume(offer)
        instance = Instance(
            id=new_label(self.config.name),
            provider=offer.provider,
            usd_per_hour=offer.usd_per_hour,
            created_at=now,
            slots=offer.slots,
            setup_seconds=offer.setup_seconds,
            description=offer.description,
            offer=offer.id,
            host=offer.host,
        )
        facts = {"offer": offer.description, "usd_per_hour": offer.usd_per_hour, "reason": decision.reason}
        log.info("launching instance", instance=instance.id, **facts)
        await lifecycle.launch(instance, offer)


def _worker(instance: Instance) -> Worker:
    return Worker(
        id=instance.id,
        is_rented=True,
        is_ready=instance.state is InstanceState.READY,
        slots=instance.slots,
        busy=len(instance.running),
        usd_per_hour=instance.usd_per_hour,
        created_at=instance.created_at,
        setup_seconds=instance.setup_seconds,
        idle_since=instance.idle_since(),
        is_draining=instance.draining or instance.state is InstanceState.TERMINATING,
    )


async def _isolated(step: Awaitable[None], target: str) -> None:
    """Run a step for one target; log its failure, so that the others are reconciled all the same."""
    with log_and_continue("reconciling failed; it is repeated", target=target):
        await step

"""The fleet as the rest of the gateway sees it, and how it is put together."""

import contextlib
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.cluster.assignments import TaskAssignments
from gateway.cluster.leader import LeaderLease
from gateway.fleet.autoscaler import Policy
from gateway.fleet.controller import RETENTION_SECONDS, FleetConfig, FleetController, Intervals, Queue
from gateway.fleet.estimates import EstimateStore
from gateway.fleet.instances.instance import Instance
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.lifecycle import InstanceLifecycle, Lifecycle, LifecycleTimeouts
from gateway.fleet.providers.base import InstanceProvider, Provider, StockAwareProvider
from gateway.fleet.providers.monitor import ProviderMonitor
from gateway.fleet.settings import FleetSettings
from gateway.fleet.speeds import FEW_FACTOR, JobEstimate, ValueRange, WorkItem
from gateway.jetstream.keyvalue import KeyValue
from gateway.workers.pool import Pool

DAY_SECONDS = 86_400.0
# Cost estimates use offers of this age at most; without any, the lowest of the last prices paid.
OFFERS_SECONDS = 60.0
PRICES_PAID = 5
# Numbers of encoders that estimates are made for.
ENCODER_COUNTS = (1, 4, 16)
NO_PRICE = "nothing can be rented here, so that there is no price"
PRICE = "the price of the cheapest provider, with set-up, for one encoder"


@dataclass(frozen=True)
class Fleet:
    """The parts of the fleet, the state of its providers, and the expected costs of jobs."""

    registry: InstanceRegistry
    assignments: TaskAssignments
    estimate_store: EstimateStore
    policy: Policy
    queue: Queue
    controller: FleetController

    def faults(self) -> dict[str, str]:
        """Return the fault of each provider ("": none), in the order of preference."""
        faults = {name: monitor.fault for name, monitor in self.controller.monitors.items()}
        missing = {instance.provider for instance in self.registry.living()} - faults.keys()
        return faults | dict.fromkeys(missing, "not configured, but its instances are billed: set it up to end them")

    async def notices(self) -> dict[str, str]:
        """Return, of each provider that has something to say of it, why tasks may wait although it answers."""
        providers = [monitor.provider for monitor in self.controller.monitors.values()]
        return {one.name: await one.notice() for one in providers if isinstance(one, StockAwareProvider)}

    def is_starting(self) -> bool:
        """Return True while an instance is on its way."""
        return any(instance.ready_at is None for instance in self.registry.living())

    def workers(self, encoders: int) -> int:
        """Return how many machines could work side by side: so many that there are, or what may be rented."""
        return max(encoders, self.policy.maximum if self.controller.rentable_monitors else 0)

    def expected_usd(self, tasks: Mapping[str, int]) -> float | None:
        """Return the expected cost of a job, of so many tasks by operation, at the cheapest provider; None if there is
        none to rent from."""
        monitors = self.controller.rentable_monitors
        return min((self._expected_usd(monitor, tasks) for monitor in monitors), default=None)

    def estimate(self, work: Sequence[WorkItem], *, is_own: bool) -> tuple[JobEstimate, ...]:
        """Return what a job of these tasks may take, by the number of encoders; `is_own` where encoders of one's own
        are there, which cost nothing."""
        usd = 0.0 if is_own else self.expected_usd(Counter(item.kind for item in work))
        told = "own encoders cost nothing" if is_own else NO_PRICE if usd is None else PRICE
        speeds = self.estimate_store.estimates.speeds
        dollars = None if usd is None else ValueRange(usd / FEW_FACTOR, usd * FEW_FACTOR)
        return tuple(
            JobEstimate(
                count,
                speeds.job_seconds(work, count),
                dollars if is_own or count == 1 else None,
                f"{speeds.basis(work)}; {told}",
            )
            for count in ENCODER_COUNTS
            if count == 1 or count <= len(work)
        )

    def _expected_usd(self, monitor: ProviderMonitor, tasks: Mapping[str, int]) -> float:
        # The answer is for the next estimate: this one uses what is known.
        monitor.refresh_offers(OFFERS_SECONDS)
        provider, estimates = monitor.provider, self.estimate_store.estimates
        rented = [instance for instance in self.registry.all() if instance.provider == provider.name]
        overhead_seconds = 0.0
        if not any(instance.state.is_billed for instance in rented):
            setup_seconds = estimates.setup_seconds(provider.name, provider.setup_seconds)
            overhead_seconds = setup_seconds + self.policy.idle_seconds
        offers = [(offer.usd_per_hour, offer.slots) for offer in monitor.offers]
        paid = [(instance.usd_per_hour, instance.slots) for instance in rented[:PRICES_PAID]]
        usd_per_hour, slots = min(offers or paid, default=(provider.max_usd_per_hour, provider.slots))
        return estimates.job_usd(tasks, usd_per_hour, slots=slots, overhead_seconds=overhead_seconds)


@dataclass(eq=False)
class PoolSync:
    """Keeps the encoder of every instance that takes tasks in this gateway's pool.

    Providers come in the order of preference; static encoders rank before them.
    """

    pool: Pool
    providers: Mapping[str, Provider]
    _addresses: dict[str, str] = field(default_factory=dict, init=False)

    def update(self, instance_id: str, instance: Instance | None) -> None:
        """Add, replace or remove the encoder of an instance that has changed."""
        if instance is None or (provider := self.providers.get(instance.provider)) is None:
            return
        is_reachable = bool(instance.address) or not isinstance(provider, InstanceProvider)
        if not instance.takes_tasks or self._addresses.get(instance_id, instance.address) != instance.address:
            self.pool.remove(instance_id)
            self._addresses.pop(instance_id, None)
        if instance.takes_tasks and is_reachable and instance_id not in self.pool:
            self._addresses[instance_id] = instance.address
            rank = list(self.providers).index(instance.provider) + 1
            self.pool.add(provider.encoder(instance), rank=rank, is_rented=True)


def fleet_config(settings: FleetSettings, job_retention_seconds: float = 0.0) -> FleetConfig:
    """Return the settings as the fleet needs them. An instance is remembered for longer than the jobs it worked for."""
    return FleetConfig(
        name=settings.fleet_name,
        policy=settings.policy,
        rentable=settings.fleet_providers,
        timeouts=LifecycleTimeouts(start_seconds=settings.fleet_start_seconds),
        intervals=Intervals(retention_seconds=max(RETENTION_SECONDS, job_retention_seconds + DAY_SECONDS)),
    )


async def open_fleet(
    config: FleetConfig,
    records: KeyValue,
    pool: Pool,
    queue: Queue,
    providers: Mapping[str, Provider],
    stack: contextlib.AsyncExitStack,
    gateway: str = "",
) -> Fleet:
    """Read the records, and add rented encoders to the pool; everything ends with `stack`, except for the controller,
    which is to be started and closed.

    `providers` has every one that is set up, in the order of preference. `gateway` is a unique name of this process.
    """
    registry, estimate_store = InstanceRegistry(records), EstimateStore(records)
    registry.listeners.append(PoolSync(pool, providers).update)
    gateway = gateway or secrets.token_hex(8)
    assignments = TaskAssignments(records, gateway)
    for part in (registry, estimate_store, assignments):
        await part.start()
        stack.push_async_callback(part.stop)

    def lifecycle(provider: Provider) -> Lifecycle:
        parts = ProviderMonitor(provider, config.intervals.backoff), registry, pool, config.timeouts
        if isinstance(provider, InstanceProvider):
            return InstanceLifecycle(*parts, provider, estimate_store, config.name)
        return Lifecycle(*parts)

    controller = FleetController(
        config=config,
        registry=registry,
        lease=LeaderLease(records, gateway, config.intervals.lease_seconds),
        assignments=assignments,
        estimate_store=estimate_store,
        pool=pool,
        queue=queue,
        lifecycles={name: lifecycle(provider) for name, provider in providers.items()},
    )
    return Fleet(registry, assignments, estimate_store, config.policy, queue, controller)

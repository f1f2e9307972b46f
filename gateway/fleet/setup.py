"""The fleet, put together."""

import contextlib
import secrets
from collections.abc import Mapping

from gateway.cluster.assignments import TaskAssignments
from gateway.cluster.leader import LeaderLease
from gateway.fleet.controller import RETENTION_SECONDS, FleetConfig, FleetController, Intervals, Queue
from gateway.fleet.estimates import EstimateStore
from gateway.fleet.fleet import Fleet
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.lifecycle import InstanceLifecycle, Lifecycle, LifecycleTimeouts, WorkerSlotLifecycle
from gateway.fleet.metering import UsageMeter
from gateway.fleet.pool_sync import PoolSync
from gateway.fleet.providers.base import InstanceProvider, Provider
from gateway.fleet.providers.monitor import InstanceMonitor, ProviderMonitor
from gateway.fleet.settings import FleetSettings
from gateway.jetstream.keyvalue import KeyValue
from gateway.workers.pool import Pool

DAY_SECONDS = 86_400.0


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
    gateway = gateway or secrets.token_hex(8)
    assignments = TaskAssignments(records, gateway)
    for part in (registry, estimate_store, assignments):
        await part.start()
        stack.push_async_callback(part.stop)
    registry.on_change(PoolSync(pool, providers).update)

    def lifecycle(provider: Provider) -> Lifecycle:
        backoff = config.intervals.backoff
        if isinstance(provider, InstanceProvider):
            monitor = InstanceMonitor(provider, backoff)
            return InstanceLifecycle(monitor, registry, pool, config.timeouts, estimate_store)
        return WorkerSlotLifecycle(ProviderMonitor(provider, backoff), registry, pool, config.timeouts)

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
    return Fleet(registry, UsageMeter(registry), assignments, estimate_store, config.policy, queue, controller)

"""The fleet put together from the settings, as gateway/components.py does it with what else the gateway has."""

import contextlib
import secrets
from collections.abc import Mapping

from gateway.cluster.assignments import TaskAssignments
from gateway.cluster.leader import LeaderLease
from gateway.fleet.autoscaler import Demand
from gateway.fleet.controller import RETENTION_SECONDS, FleetController, Intervals, Queue, demand
from gateway.fleet.estimates import EstimateStore
from gateway.fleet.fleet import Fleet
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.lifecycle import LifecycleTimeouts
from gateway.fleet.metering import UsageMeter
from gateway.fleet.pool_sync import PoolSync
from gateway.fleet.providers.base import Provider
from gateway.fleet.settings import FleetSettings
from gateway.jetstream.keyvalue import KeyValue
from gateway.workers.pool import Pool

DAY_SECONDS = 86_400.0


async def open_fleet(
    settings: FleetSettings,
    records: KeyValue,
    pool: Pool,
    queue: Queue,
    providers: Mapping[str, Provider],
    job_retention_seconds: float,
    stack: contextlib.AsyncExitStack,
) -> Fleet:
    """Read what is on record, and give the pool its seats. The control starts with `start_control`; all ends with
    `stack`."""
    register, knowledge = InstanceRegistry(records), EstimateStore(records)
    name = secrets.token_hex(8)
    holders = TaskAssignments(records, name)
    for part in (register, knowledge, holders):
        await part.start()
        stack.push_async_callback(part.stop)
    PoolSync(register, pool, providers)

    def wanted(now: float) -> Demand:
        return demand(queue, holders, knowledge, now)

    rhythm = Intervals(retention_seconds=max(RETENTION_SECONDS, job_retention_seconds + DAY_SECONDS))
    control = FleetController(
        register,
        LeaderLease(records, name, rhythm.lease_seconds),
        providers,
        pool,
        settings.policy,
        [name for name in settings.fleet_providers if name in providers],
        settings.fleet_name,
        wanted,
        holders,
        knowledge,
        LifecycleTimeouts(start_seconds=settings.fleet_start_seconds),
        rhythm,
    )
    return Fleet(register, UsageMeter(register), holders, knowledge, settings.policy, queue, control)


def start_control(fleet: Fleet, stack: contextlib.AsyncExitStack) -> None:
    """Begin to rent and to give back; without a provider, to tell of machines that are still on record."""
    fleet.controller.start()
    stack.push_async_callback(fleet.controller.close)

"""The fleet put together from the settings, as gateway/components.py does it with what else the gateway has."""

import contextlib
import secrets

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
from gateway.fleet.providers.runpod.provider import RunpodProvider
from gateway.fleet.providers.vast.client import VastClient
from gateway.fleet.providers.vast.provider import VastProvider
from gateway.fleet.providers.vast.search import OfferFilter
from gateway.fleet.settings import FleetSettings
from gateway.jetstream.keyvalue import KeyValue
from gateway.workers.base import Encoder
from gateway.workers.pool import Pool

DAY_SECONDS = 86_400.0


async def open_fleet(
    settings: FleetSettings,
    records: KeyValue,
    pool: Pool,
    queue: Queue,
    runpod: Encoder | None,
    max_task_seconds: float,
    job_retention_seconds: float,
    max_input_bytes: int,
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
    providers = _providers(settings, knowledge, runpod, max_task_seconds, max_input_bytes)
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


def _providers(
    settings: FleetSettings,
    knowledge: EstimateStore,
    runpod: Encoder | None,
    max_task_seconds: float,
    max_input_bytes: int,
) -> dict[str, Provider]:
    """All that are set up, in the order of preference: those too that are to be rented from no more may have machines
    that must be given back."""
    made: dict[str, Provider] = {}
    for name in dict.fromkeys((*settings.fleet_providers, "vast", "runpod")):
        if name == "vast" and settings.has_vast:
            made[name] = _vast(settings, max_task_seconds, max_input_bytes)
        elif name == "runpod" and runpod is not None:
            made[name] = RunpodProvider(
                runpod,
                settings.runpod_usd_per_second,
                settings.runpod_max_workers,
                settings.runpod_slots,
                lambda: knowledge.estimates.setup_seconds("runpod"),
            )
    return made


def _vast(settings: FleetSettings, max_task_seconds: float, max_input_bytes: int) -> VastProvider:
    client = VastClient(settings.vast_url, settings.vast_api_key.get_secret_value())
    wish = OfferFilter(
        max_usd_per_hour=settings.vast_max_usd_per_hour,
        cards=settings.vast_gpus,
        min_reliability=settings.vast_min_reliability,
        min_down_mbps=settings.vast_min_down_mbps,
        min_up_mbps=settings.vast_min_up_mbps,
        disk_gb=settings.vast_disk_gb,
        seconds=settings.fleet_max_age_seconds,
    )
    return VastProvider(
        client,
        settings.vast_worker_image,
        settings.fleet_name,
        wish,
        settings.vast_image_gb,
        settings.vast_slots,
        # One that is old ends with its last task.
        life_seconds=settings.fleet_start_seconds + settings.fleet_max_age_seconds + max_task_seconds,
        gateway_networks=settings.fleet_gateway_ips,
        max_task_seconds=max_task_seconds,
        max_input_bytes=max_input_bytes,
    )

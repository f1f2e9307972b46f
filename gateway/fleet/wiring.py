"""The fleet put together from the settings, as gateway/parts.py does it with what else the gateway has."""

import contextlib
import secrets

from gateway.encoders.base import Encoder
from gateway.encoders.pool import Pool
from gateway.engine.keyvalue import KeyValue
from gateway.fleet.base import Provider
from gateway.fleet.control import RETENTION_SECONDS, Control, Rhythm
from gateway.fleet.demand import Queue, demand
from gateway.fleet.fleet import Fleet
from gateway.fleet.holders import Holders
from gateway.fleet.knowledge import Knowledge
from gateway.fleet.lease import Lease
from gateway.fleet.life import Patience
from gateway.fleet.meter import Meter
from gateway.fleet.permits import Permits
from gateway.fleet.register import Register
from gateway.fleet.scaler import Demand
from gateway.fleet.seats import Seats
from gateway.fleet.settings import FleetSettings
from gateway.fleet.vast import VastProvider
from gateway.fleet.vastclient import VastClient
from gateway.fleet.vastoffers import Wish

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
    register, knowledge = Register(records), Knowledge(records)
    name = secrets.token_hex(8)
    holders = Holders(records, name)
    for part in (register, knowledge, holders):
        await part.start()
        stack.push_async_callback(part.stop)
    providers = _providers(settings, knowledge, runpod, max_task_seconds, max_input_bytes)
    Seats(register, pool, providers)

    def wanted(now: float) -> Demand:
        return demand(queue, holders, knowledge, now)

    rhythm = Rhythm(retention_seconds=max(RETENTION_SECONDS, job_retention_seconds + DAY_SECONDS))
    control = Control(
        register,
        Lease(records, name, rhythm.lease_seconds),
        providers,
        pool,
        settings.policy,
        [name for name in settings.fleet_providers if name in providers],
        settings.fleet_name,
        wanted,
        holders,
        knowledge,
        Patience(start_seconds=settings.fleet_start_seconds),
        rhythm,
    )
    return Fleet(register, Meter(register), holders, knowledge, settings.policy, queue, control)


def start_control(fleet: Fleet, stack: contextlib.AsyncExitStack) -> None:
    """Begin to rent and to give back; without a provider, to tell of machines that are still on record."""
    fleet.control.start()
    stack.push_async_callback(fleet.control.close)


def _providers(
    settings: FleetSettings,
    knowledge: Knowledge,
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
            made[name] = Permits(
                runpod,
                settings.runpod_usd_per_second,
                settings.runpod_max_workers,
                settings.runpod_slots,
                lambda: knowledge.estimates.setup_seconds("runpod"),
            )
    return made


def _vast(settings: FleetSettings, max_task_seconds: float, max_input_bytes: int) -> VastProvider:
    client = VastClient(settings.vast_url, settings.vast_api_key.get_secret_value())
    wish = Wish(
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

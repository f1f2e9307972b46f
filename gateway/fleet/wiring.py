"""The fleet put together from the settings. Beside gateway/app.py the only place that constructs."""

import contextlib
import secrets
from collections.abc import Awaitable, Callable

from gateway.encoders.base import Encoder
from gateway.encoders.pool import Pool
from gateway.engine.keyvalue import KeyValue
from gateway.fleet.base import Provider
from gateway.fleet.control import Control, Rhythm
from gateway.fleet.fleet import Fleet
from gateway.fleet.knowledge import Knowledge
from gateway.fleet.lease import Lease
from gateway.fleet.life import Patience
from gateway.fleet.meter import Meter
from gateway.fleet.permits import Permits
from gateway.fleet.queue import Queue, demand
from gateway.fleet.register import Register
from gateway.fleet.scaler import Demand
from gateway.fleet.seats import Seats
from gateway.fleet.settings import FleetSettings
from gateway.fleet.vast import VastProvider
from gateway.fleet.vastclient import VastClient
from gateway.fleet.vastoffers import Wish


async def open_fleet(
    settings: FleetSettings,
    records: KeyValue,
    pool: Pool,
    queue: Queue,
    runpod: Encoder | None,
    max_task_seconds: float,
    max_input_bytes: int,
    stack: contextlib.AsyncExitStack,
) -> Fleet:
    """Read what is on record, and give the pool its seats. The control starts with `start_control`; all ends with
    `stack`."""
    register, knowledge = Register(records), Knowledge(records)
    for part in (register, knowledge):
        await part.start()
        stack.push_async_callback(part.stop)
    providers = _providers(settings, knowledge, runpod, max_task_seconds, max_input_bytes)
    Seats(register, pool, providers)

    def wanted(now: float) -> Demand:
        return demand(queue, register, pool, knowledge, now)

    rhythm = Rhythm()
    control = Control(
        register,
        Lease(records, secrets.token_hex(8), rhythm.lease_seconds),
        providers,
        pool,
        settings.policy,
        settings.fleet_name,
        wanted,
        knowledge,
        Patience(start_seconds=settings.fleet_start_seconds),
        rhythm,
    )
    return Fleet(register, Meter(register), knowledge, settings.policy, queue, wanted, control if providers else None)


def start_control(
    fleet: Fleet, is_running: Callable[[str, str], Awaitable[bool]], stack: contextlib.AsyncExitStack
) -> None:
    """Begin to rent and give back, where a provider is set up; see Control for `is_running`."""
    if fleet.control is not None:
        fleet.control.start(is_running)
        stack.push_async_callback(fleet.control.close)


def _providers(
    settings: FleetSettings,
    knowledge: Knowledge,
    runpod: Encoder | None,
    max_task_seconds: float,
    max_input_bytes: int,
) -> dict[str, Provider]:
    made: dict[str, Provider] = {}
    for name in settings.fleet_providers:
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

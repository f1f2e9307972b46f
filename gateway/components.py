"""The gateway's parts, opened from its settings. What must end is pushed on the exit stack as it is opened."""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore, TransferSlots
from gateway.config import GatewaySettings
from gateway.fleet.fleet import Fleet, fleet_config, open_fleet
from gateway.fleet.providers.base import Provider, ProviderContext, ServerlessProvider
from gateway.fleet.providers.registry import PROVIDERS
from gateway.jetstream.connection import JetStream
from gateway.jobs.dispatcher import Dispatcher
from gateway.jobs.manager import JobManager
from gateway.jobs.policy import JobPolicy
from gateway.jobs.progress import ProgressBus
from gateway.jobs.queue import TaskQueue
from gateway.jobs.setup import start_jobs
from gateway.jobs.store import JobStore
from gateway.sources import Sources
from gateway.sources.fetch import Fetcher, FetchLimits
from gateway.workers.base import ResumableEncoder
from gateway.workers.pool import Pool
from gateway.workers.static import add_static_encoders
from gateway.workers.tickets import Tickets
from servicekit.tasks import cancel_and_wait, repeat
from servicekit.tls import Identity

log = structlog.get_logger("gateway")

SWEEP_SECONDS = 600.0


@dataclass(frozen=True)
class Components:
    """The parts beneath the doors of gRPC and HTTP."""

    settings: GatewaySettings
    jetstream: JetStream
    assets: AssetStore
    sources: Sources
    links: LinkSigner
    transfers: TransferSlots
    tickets: Tickets
    providers: Mapping[str, Provider]
    pool: Pool
    fleet: Fleet
    jobs: JobManager
    dispatcher: Dispatcher

    @classmethod
    async def open(cls, settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> "Components":
        """Connect to NATS, then open what stores, rents, encodes and queues. Raises ConfigError."""
        jetstream = await JetStream.open(
            settings.nats_url, settings.data_dir / "nats", settings.nats_connect_seconds, settings.nats_replicas
        )
        stack.push_async_callback(jetstream.close)
        assets = _asset_store(settings, stack)
        store = JobStore(await jetstream.key_value("jobs"), settings.job_retention_seconds)
        await store.start()
        stack.push_async_callback(store.stop)
        queue, progress = TaskQueue(await jetstream.queue("tasks", settings.ack_wait_seconds)), ProgressBus(jetstream)
        sources = _sources(settings, assets, stack)
        links = LinkSigner(link_secret(settings), settings.link_ttl_seconds)
        tickets = Tickets(await jetstream.key_value("tickets"))
        providers = _providers(settings, tickets, assets, links)
        pool = _pool(settings, stack)
        config = fleet_config(settings, settings.job_retention_seconds)
        fleet = await open_fleet(config, await jetstream.key_value("fleet"), pool, store.index, providers, stack)
        fleet.controller.start()
        stack.push_async_callback(fleet.controller.close)
        policy = JobPolicy(
            max_task_seconds=settings.max_task_seconds,
            max_attempts=settings.task_attempts,
            max_items=settings.max_batch_items,
        )
        resumable = [
            provider.endpoint
            for provider in providers.values()
            if isinstance(provider, ServerlessProvider) and isinstance(provider.endpoint, ResumableEncoder)
        ]
        jobs, dispatcher = start_jobs(store, queue, progress, sources, assets, pool, fleet, policy, stack, resumable)
        transfers = TransferSlots(settings.max_transfers)
        return cls(
            settings=settings,
            jetstream=jetstream,
            assets=assets,
            sources=sources,
            links=links,
            transfers=transfers,
            tickets=tickets,
            providers=providers,
            pool=pool,
            fleet=fleet,
            jobs=jobs,
            dispatcher=dispatcher,
        )


def _asset_store(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> AssetStore:
    assets = AssetStore(
        settings.assets_location,
        retention_seconds=settings.asset_retention_seconds,
        max_bytes=settings.max_asset_bytes,
    )
    sweeping = repeat("cannot sweep assets", SWEEP_SECONDS, lambda: _sweep(assets))
    stack.push_async_callback(cancel_and_wait, asyncio.create_task(sweeping))
    return assets


def _sources(settings: GatewaySettings, assets: AssetStore, stack: contextlib.AsyncExitStack) -> Sources:
    limits = FetchLimits(
        max_bytes=settings.max_asset_bytes,
        connect_seconds=settings.fetch_connect_seconds,
        idle_seconds=settings.fetch_idle_seconds,
        total_seconds=settings.fetch_total_seconds,
        allow_cidrs=settings.fetch_allow_cidrs,
    )
    fetcher = Fetcher(limits)
    stack.push_async_callback(fetcher.aclose)
    return Sources(fetcher, assets)


def _pool(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> Pool:
    """Return the pool, with the encoders that ENCODERS names."""
    pool = Pool()
    stack.push_async_callback(pool.close)
    identity = Identity.read(settings.tls_cert, settings.tls_key, settings.encoder_ca)
    token = settings.session_token.get_secret_value()
    following = add_static_encoders(settings.encoders, pool, identity.channel_credentials(), token)
    stack.push_async_callback(cancel_and_wait, *following)
    return pool


def _providers(
    settings: GatewaySettings, tickets: Tickets, assets: AssetStore, links: LinkSigner
) -> dict[str, Provider]:
    """Return the configured providers in order of preference, including those that FLEET_PROVIDERS leaves out, as they
    may have instances that must be destroyed."""
    context = ProviderContext(
        fleet_name=settings.fleet_name,
        start_seconds=settings.fleet_start_seconds,
        max_age_seconds=settings.fleet_max_age_seconds,
        max_task_seconds=settings.max_task_seconds,
        max_input_bytes=settings.max_asset_bytes,
        gateway_networks=settings.fleet_gateway_ips,
        public_url=settings.public_url,
        assets=assets,
        links=links,
        tickets=tickets,
    )
    names = dict.fromkeys((*settings.fleet_providers, *PROVIDERS))
    configured = {name: settings.providers[name] for name in names if settings.providers[name].is_configured}
    return {name: provider.open(context) for name, provider in configured.items()}


def link_secret(settings: GatewaySettings) -> bytes:
    """Return the secret that signs links: LINK_SECRET, or one kept in DATA_DIR, so that links survive restarts."""
    if secret := settings.link_secret.get_secret_value():
        return secret.encode()
    path = settings.data_dir / "link.key"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, so that a crash leaves no partial secret.
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(secrets.token_bytes(32))
        fresh.replace(path)
        return path.read_bytes()


async def _sweep(assets: AssetStore) -> None:
    if deleted := await assets.sweep():
        log.info("expired assets deleted", count=deleted)

"""The gateway's parts, made from its settings. What needs an end is pushed on the exit stack as it is made."""

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine

import structlog

from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.config import GatewaySettings
from gateway.fleet.providers.base import Provider, ProviderContext
from gateway.fleet.providers.registry import PROVIDERS
from gateway.jetstream.connection import JetStream
from gateway.jobs.store import JobStore
from gateway.sources import Sources
from gateway.sources.fetch import Fetcher, FetchLimits
from gateway.workers.pool import Pool
from gateway.workers.static import StaticEncoders
from gateway.workers.tickets import Tickets
from servicekit.tasks import cancel_and_wait, log_and_continue
from servicekit.tls import Identity

log = structlog.get_logger("gateway")

SWEEP_SECONDS = 600.0


async def jetstream(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> JetStream:
    """The connection to NATS, and the embedded server where there is one. Raises ConfigError."""
    jetstream = await JetStream.open(
        settings.nats_url, settings.data_dir / "nats", settings.nats_connect_seconds, settings.nats_replicas
    )
    stack.push_async_callback(jetstream.close)
    return jetstream


def asset_store(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> AssetStore:
    """The store of files; what has expired is deleted from time to time."""
    assets = AssetStore(
        settings.assets_location,
        retention_seconds=settings.asset_retention_seconds,
        max_bytes=settings.max_asset_bytes,
    )
    background(stack, _sweep(assets))
    return assets


async def job_store(settings: GatewaySettings, jetstream: JetStream, stack: contextlib.AsyncExitStack) -> JobStore:
    """The records of jobs, and their index, which is up."""
    store = JobStore(await jetstream.key_value("jobs"), settings.job_retention_seconds)
    await store.start()
    stack.push_async_callback(store.stop)
    return store


def sources(settings: GatewaySettings, assets: AssetStore, stack: contextlib.AsyncExitStack) -> Sources:
    """Where inputs come from."""
    fetcher = Fetcher(_fetch_limits(settings))
    stack.push_async_callback(fetcher.aclose)
    return Sources(fetcher, assets)


def _fetch_limits(settings: GatewaySettings) -> FetchLimits:
    return FetchLimits(
        max_bytes=settings.max_asset_bytes,
        connect_seconds=settings.fetch_connect_seconds,
        idle_seconds=settings.fetch_idle_seconds,
        total_seconds=settings.fetch_total_seconds,
        allow_cidrs=settings.fetch_allow_cidrs,
    )


def pool(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> Pool:
    """The pool, with the encoders that are named in the settings."""
    pool = Pool()
    stack.push_async_callback(pool.close)
    stack.push_async_callback(_own_encoders(settings, pool).close)
    return pool


def _own_encoders(settings: GatewaySettings, pool: Pool) -> StaticEncoders:
    identity = Identity(settings.tls_cert, settings.tls_key, settings.encoder_ca)
    credentials = identity.channel_credentials()
    token = settings.session_token.get_secret_value()
    return StaticEncoders(settings.encoders, pool, credentials, token)


def providers(
    settings: GatewaySettings, tickets: Tickets, assets: AssetStore, links: LinkSigner
) -> dict[str, Provider]:
    """The providers that are set up, in the order of preference: those too that are to be rented from no more may have
    instances that must be destroyed."""
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
    return {name: PROVIDERS[name].open(own, context) for name, own in configured.items()}


def link_secret(settings: GatewaySettings) -> bytes:
    """The secret that signs links: LINK_SECRET, or one made once and kept, so that links survive a restart."""
    if given := settings.link_secret.get_secret_value():
        return given.encode()
    path = settings.data_dir / "link.key"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        # Whole or not there at all, also after a crash.
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(secrets.token_bytes(32))
        fresh.replace(path)
        return path.read_bytes()


def background(stack: contextlib.AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Have something done as long as the gateway lives."""
    stack.push_async_callback(cancel_and_wait, asyncio.create_task(work))


async def _sweep(assets: AssetStore) -> None:
    while True:
        with log_and_continue("cannot sweep assets"):
            if swept := await assets.sweep():
                log.info("expired assets deleted", count=swept)
        await asyncio.sleep(SWEEP_SECONDS)

"""The parts of the gateway beneath its doors: what stores, fetches, rents, encodes, queues and tells."""

import asyncio
import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.config import GatewaySettings
from gateway.fleet.fleet import Fleet, fleet_config, open_fleet
from gateway.fleet.providers.base import Provider, ProviderContext, ServerlessProvider
from gateway.fleet.providers.registry import PROVIDERS
from gateway.jetstream.connection import JetStream
from gateway.jobs.claims import Claims
from gateway.jobs.dispatcher import Dispatcher
from gateway.jobs.ffmpeg_log import FfmpegLogs
from gateway.jobs.hooks import Occurrence
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Job
from gateway.jobs.policy import JobPolicy
from gateway.jobs.progress import ProgressBus, TaskProgress
from gateway.jobs.queue import TaskQueue
from gateway.jobs.setup import JobResources, start_jobs
from gateway.jobs.store import JobStore
from gateway.kept_secrets import credentials_secrets, key_pepper, webhook_secrets
from gateway.keys.ring import KeyRing
from gateway.outputs.sealing import Sealer
from gateway.outputs.setup import Outputs, start_outputs
from gateway.rest.protojson.encode import dumps, to_json
from gateway.services.presenters import Presenter
from gateway.services.webhooks import payload
from gateway.sources import Sources
from gateway.sources.fetch import Fetcher, FetchLimits
from gateway.sources.guard import OwnEndpoints
from gateway.sources.prefetch import Prefetcher
from gateway.sources.send import Sender
from gateway.sources.spools import Spools
from gateway.storage import Storage
from gateway.tenants.setup import Tenancy, open_tenants, start_tenancy
from gateway.tenants.tenants import Tenants
from gateway.webhooks.caller import WebhookCaller
from gateway.webhooks.log import WebhookLog
from gateway.webhooks.setup import start_webhooks
from gateway.webhooks.signing import WebhookSigner
from gateway.workers.base import ResumableEncoder
from gateway.workers.grpc import grpc_endpoints
from gateway.workers.pool import Pool
from gateway.workers.static import add_static_encoders
from gateway.workers.tickets import Tickets
from servicekit.freed_memory import return_freed_memory
from servicekit.server_tls import ReloadingIdentity
from servicekit.tasks import cancel_and_wait
from servicekit.tls import IdentityFiles


@dataclass(frozen=True)
class Components:
    """The parts beneath the doors of gRPC and HTTP."""

    settings: GatewaySettings
    storage: Storage
    own: OwnEndpoints
    resources: JobResources
    tickets: Tickets
    providers: Mapping[str, Provider]
    pool: Pool
    fleet: Fleet
    jobs: JobManager
    dispatcher: Dispatcher
    presenter: Presenter
    tenancy: Tenancy
    webhooks: WebhookLog
    outputs: Outputs
    ring: KeyRing
    transfers: TransferSlots

    @classmethod
    async def open(cls, settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> "Components":
        """Connect to NATS, then open what stores, rents, encodes and queues. Raises ConfigError."""
        storage = await Storage.open(settings, stack)
        stack.push_async_callback(cancel_and_wait, asyncio.create_task(return_freed_memory()))
        jetstream, assets, links = storage.jetstream, storage.assets, storage.links
        own = OwnEndpoints(parts=[lambda: jetstream.endpoints, lambda: grpc_endpoints(pool)])
        resources = await _resources(settings, storage, _sources(settings, storage, own), stack)
        tickets = Tickets(await jetstream.key_value("tickets"))
        providers = _providers(settings, tickets, assets, links)
        pool = _pool(settings, stack)
        fleet = await _fleet(settings, jetstream, pool, resources.store, providers, stack)
        jobs, dispatcher = start_jobs(resources, pool, fleet, _policy(settings), stack, _resumable(providers))
        presenter = Presenter(links, fleet.registry.cost, settings.public_url or f"http://localhost:{settings.port}")
        sealer, signer = Sealer(credentials_secrets(settings)), WebhookSigner(webhook_secrets(settings))
        tenants = await open_tenants(jetstream, sealer, signer, stack)
        webhooks = await _webhooks(jetstream, resources, tenants, presenter, stack)
        ring = await KeyRing.open(await jetstream.key_value("keys"), key_pepper(settings))
        stack.push_async_callback(ring.records.stop)
        limits = (settings.max_open_uploads, ring.limits_of)
        tenancy = await start_tenancy(storage, jobs, tenants, fleet.registry.cost, *limits, stack)
        bucket = await jetstream.key_value("outputs")
        outputs = await start_outputs(jobs, bucket, assets, resources.sources.fetcher, sealer, stack)
        transfers = TransferSlots(settings.max_transfers)
        beneath = (settings, storage, own, resources, tickets, providers, pool, fleet)
        return cls(*beneath, jobs, dispatcher, presenter, tenancy, webhooks, outputs, ring, transfers)


def compose_webhook(
    presenter: Presenter, job: Job, what: Occurrence, since: float, running: dict[int, TaskProgress]
) -> bytes:
    """Return the body of a call of a webhook."""
    return dumps(to_json(payload(presenter, job, what, since, running)))


async def _resources(
    settings: GatewaySettings, storage: Storage, sources: Sources, stack: contextlib.AsyncExitStack
) -> JobResources:
    """Open what jobs are kept in and told by, until `stack` ends."""
    jetstream = storage.jetstream
    claims = Claims(await jetstream.key_value("claims"))
    store = JobStore(await jetstream.key_value("jobs"), claims, settings.job_retention_seconds)
    await store.start()
    stack.push_async_callback(store.stop)
    progress = ProgressBus(jetstream)
    store.index.on_end.append(progress.kept.forget)
    spools = Spools(settings.data_dir / "spools", storage.guard.floor, store.index.is_open)
    stack.push_async_callback(spools.aclose)
    store.index.on_end.append(spools.end)
    sources = replace(sources, spools=spools)
    await stack.enter_async_context(progress.keeping())
    return JobResources(
        store,
        TaskQueue(await jetstream.queue("tasks", settings.ack_wait_seconds)),
        progress,
        sources,
        storage.assets,
        FfmpegLogs.of(store, await jetstream.key_value("logs")),
        Prefetcher(sources, settings.data_dir / "prefetch", storage.guard.floor),
        storage.check_room,
    )


async def _fleet(
    settings: GatewaySettings,
    jetstream: JetStream,
    pool: Pool,
    store: JobStore,
    providers: Mapping[str, Provider],
    stack: contextlib.AsyncExitStack,
) -> Fleet:
    """Begin to rent, until `stack` ends."""
    config = fleet_config(settings, settings.job_retention_seconds)
    fleet = await open_fleet(config, await jetstream.key_value("fleet"), pool, store.index, providers, stack)
    fleet.controller.start()
    stack.push_async_callback(fleet.controller.close)
    return fleet


async def _webhooks(
    jetstream: JetStream,
    resources: JobResources,
    tenants: Tenants,
    presenter: Presenter,
    stack: contextlib.AsyncExitStack,
) -> WebhookLog:
    """Begin to tell webhooks, until `stack` ends."""
    fetcher, compose = resources.sources.fetcher, functools.partial(compose_webhook, presenter)
    caller = WebhookCaller(Sender(fetcher.guard, fetcher.tls), tenants.signer_of, compose)
    bucket = await jetstream.key_value("webhooks")
    return start_webhooks(resources.store, bucket, resources.progress, caller, stack)


def _policy(settings: GatewaySettings) -> JobPolicy:
    return JobPolicy(
        max_task_seconds=settings.max_task_seconds,
        max_attempts=settings.task_attempts,
        interrupted_seconds=settings.task_retry_seconds,
        max_queued_tasks=settings.max_queued_tasks,
        max_items=settings.max_batch_items,
    )


def _resumable(providers: Mapping[str, Provider]) -> list[ResumableEncoder]:
    """Return the endpoints at which a run outlives its gateway."""
    return [
        provider.endpoint
        for provider in providers.values()
        if isinstance(provider, ServerlessProvider) and isinstance(provider.endpoint, ResumableEncoder)
    ]


def _sources(settings: GatewaySettings, storage: Storage, own: OwnEndpoints) -> Sources:
    limits = FetchLimits(
        max_bytes=settings.max_asset_bytes,
        connect_seconds=settings.fetch_connect_seconds,
        idle_seconds=settings.fetch_idle_seconds,
        total_seconds=settings.fetch_total_seconds,
        allow_cidrs=settings.fetch_allow_cidrs,
        min_bytes_per_second=settings.fetch_min_bytes_per_second,
    )
    return Sources(Fetcher(limits, own=own), storage.assets, storage.links)


def _pool(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> Pool:
    """Return the pool, with the encoders that ENCODERS names."""
    pool = Pool()
    stack.push_async_callback(pool.close)
    identity = followed(IdentityFiles(settings.tls_cert, settings.tls_key, settings.encoder_ca), stack)
    token = settings.session_token.get_secret_value()
    following = add_static_encoders(settings.encoders, pool, identity, token)
    stack.push_async_callback(cancel_and_wait, *following)
    return pool


def followed(files: IdentityFiles, stack: contextlib.AsyncExitStack) -> ReloadingIdentity:
    """Return an identity that is read again when its files change. Raises ConfigError."""
    identity = ReloadingIdentity.of(files)
    stack.push_async_callback(cancel_and_wait, asyncio.create_task(identity.follow()))
    return identity


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

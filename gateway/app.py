"""The gateway from start to drain: its parts, and the servers of gRPC and HTTP on top of them."""

import asyncio
import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from apigpu.v1 import assets_pb2_grpc, fleet_pb2_grpc, jobs_pb2_grpc, system_pb2_grpc
from externalscaler import externalscaler_pb2_grpc
from gateway.admission import call_classes
from gateway.assets.bucket import storage_floor
from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.auth import ApiKeys, authentication
from gateway.config import GatewaySettings
from gateway.fleet.fleet import Fleet, fleet_config, open_fleet
from gateway.fleet.providers.base import EndpointConfig, Provider, ProviderContext, ServerlessProvider
from gateway.fleet.providers.registry import PROVIDERS
from gateway.jetstream.connection import JetStream
from gateway.jetstream.guard import StoreGuard, make_room
from gateway.jobs.claims import Claims
from gateway.jobs.dispatcher import Dispatcher
from gateway.jobs.hooks import Occurrence
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Job
from gateway.jobs.policy import JobPolicy
from gateway.jobs.progress import ProgressBus, TaskProgress
from gateway.jobs.queue import TaskQueue
from gateway.jobs.setup import start_jobs
from gateway.jobs.store import JobStore
from gateway.kept_secrets import link_secret, webhook_secrets
from gateway.ratelimit import KeyRateLimit
from gateway.rest.protojson.encode import dumps, to_json
from gateway.rest.routes import PUBLIC, endpoints
from gateway.rest.server import HttpServer, RestSettings, build_app
from gateway.rest.worker_links import WorkerLinks
from gateway.services.assets import AssetService
from gateway.services.fleet import FleetService
from gateway.services.jobs import JobService
from gateway.services.keda import KedaScaler
from gateway.services.presenters import Presenter
from gateway.services.system import SystemService
from gateway.services.video import VideoService
from gateway.services.webhooks import payload
from gateway.sources import Sources
from gateway.sources.fetch import Fetcher, FetchLimits
from gateway.sources.guard import OwnEndpoints
from gateway.sources.prefetch import Prefetcher
from gateway.webhooks.log import WebhookLog
from gateway.webhooks.setup import start_webhooks
from gateway.workers.base import ResumableEncoder
from gateway.workers.grpc import grpc_endpoints
from gateway.workers.pool import Pool
from gateway.workers.static import add_static_encoders
from gateway.workers.tickets import Tickets
from servicekit.admission import admission
from servicekit.interceptors import error_boundary
from servicekit.local import LocalChannel, LocalServer
from servicekit.server import Service, stop_signal
from servicekit.server_tls import ReloadingIdentity, ServerTls
from servicekit.tasks import cancel_and_wait, repeat
from servicekit.tls import IdentityFiles

log = structlog.get_logger("gateway")

CLOSE_SECONDS = 2.0
SWEEP_SECONDS = 600.0


@dataclass(frozen=True)
class Components:
    """The parts beneath the doors of gRPC and HTTP."""

    settings: GatewaySettings
    jetstream: JetStream
    guard: StoreGuard
    assets: AssetStore
    sources: Sources
    links: LinkSigner
    own: OwnEndpoints
    transfers: TransferSlots
    tickets: Tickets
    providers: Mapping[str, Provider]
    pool: Pool
    fleet: Fleet
    jobs: JobManager
    dispatcher: Dispatcher
    presenter: Presenter
    webhooks: WebhookLog

    @classmethod
    async def open(cls, settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> "Components":
        """Connect to NATS, then open what stores, rents, encodes and queues. Raises ConfigError."""
        floor = storage_floor(settings.data_dir, settings.min_free_bytes)
        make_room(settings.data_dir / "nats", floor)
        jetstream = await JetStream.open(
            settings.nats_url, settings.data_dir / "nats", settings.nats_connect_seconds, settings.nats_replicas
        )
        stack.push_async_callback(jetstream.close)
        guard = StoreGuard(jetstream, floor, settings.data_dir / "nats")
        assets = _asset_store(settings, stack)
        claims = Claims(await jetstream.key_value("claims"))
        store = JobStore(await jetstream.key_value("jobs"), claims, settings.job_retention_seconds)
        await store.start()
        stack.push_async_callback(store.stop)
        queue, progress = TaskQueue(await jetstream.queue("tasks", settings.ack_wait_seconds)), ProgressBus(jetstream)
        links = LinkSigner(link_secret(settings), settings.link_ttl_seconds)
        own = OwnEndpoints(parts=[lambda: jetstream.endpoints, lambda: grpc_endpoints(pool)])
        sources = _sources(settings, assets, links, own)
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
            interrupted_seconds=settings.task_retry_seconds,
            max_items=settings.max_batch_items,
        )
        resumable = [
            provider.endpoint
            for provider in providers.values()
            if isinstance(provider, ServerlessProvider) and isinstance(provider.endpoint, ResumableEncoder)
        ]
        prefetcher = Prefetcher(sources, settings.data_dir / "prefetch", guard.floor)
        jobs, dispatcher = start_jobs(
            store, queue, progress, sources, assets, pool, fleet, policy, stack, resumable, guard.check_room, prefetcher
        )
        transfers = TransferSlots(settings.max_transfers)
        public_url = settings.public_url or f"http://localhost:{settings.port}"
        presenter = Presenter(links, fleet.registry.cost, public_url)
        compose = functools.partial(compose_webhook, presenter)
        bucket, signing = await jetstream.key_value("webhooks"), webhook_secrets(settings)
        webhooks = start_webhooks(store, bucket, progress, sources.fetcher, signing, compose, stack)
        return cls(
            settings,
            jetstream,
            guard,
            assets,
            sources,
            links,
            own,
            transfers,
            tickets,
            providers,
            pool,
            fleet,
            jobs,
            dispatcher,
            presenter,
            webhooks,
        )


def compose_webhook(
    presenter: Presenter, job: Job, what: Occurrence, since: float, running: dict[int, TaskProgress]
) -> bytes:
    """Return the body of a call of a webhook."""
    return dumps(to_json(payload(presenter, job, what, since, running)))


def _asset_store(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> AssetStore:
    assets = AssetStore(
        settings.assets_location,
        retention_seconds=settings.asset_retention_seconds,
        max_bytes=settings.max_asset_bytes,
        min_free_bytes=settings.min_free_bytes,
    )
    sweeping = repeat("cannot sweep assets", SWEEP_SECONDS, lambda: _sweep(assets))
    stack.push_async_callback(cancel_and_wait, asyncio.create_task(sweeping))
    return assets


def _sources(settings: GatewaySettings, assets: AssetStore, links: LinkSigner, own: OwnEndpoints) -> Sources:
    limits = FetchLimits(
        max_bytes=settings.max_asset_bytes,
        connect_seconds=settings.fetch_connect_seconds,
        idle_seconds=settings.fetch_idle_seconds,
        total_seconds=settings.fetch_total_seconds,
        allow_cidrs=settings.fetch_allow_cidrs,
        min_bytes_per_second=settings.fetch_min_bytes_per_second,
    )
    return Sources(Fetcher(limits, own=own), assets, links)


def _pool(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> Pool:
    """Return the pool, with the encoders that ENCODERS names."""
    pool = Pool()
    stack.push_async_callback(pool.close)
    identity = _followed(IdentityFiles(settings.tls_cert, settings.tls_key, settings.encoder_ca), stack)
    token = settings.session_token.get_secret_value()
    following = add_static_encoders(settings.encoders, pool, identity, token)
    stack.push_async_callback(cancel_and_wait, *following)
    return pool


def _followed(files: IdentityFiles, stack: contextlib.AsyncExitStack) -> ReloadingIdentity:
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


async def _sweep(assets: AssetStore) -> None:
    if deleted := await assets.sweep():
        log.info("expired assets deleted", count=deleted)


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises ConfigError when it cannot start, ConnectionLost."""
    async with contextlib.AsyncExitStack() as stack:
        gateway = await Gateway.open(settings, stack)
        await gateway.until_stopped()
        log.info("draining", seconds=settings.drain_seconds)
        await gateway.drain()


class ConnectionLost(Exception):
    """NATS closed the connection for good; a new process must connect anew."""


@dataclass(frozen=True)
class Gateway:
    """The running gateway. What must end is pushed on the exit stack as it is opened, so it ends in reverse."""

    components: Components
    service: Service
    http: HttpServer

    @classmethod
    async def open(cls, settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> "Gateway":
        """Start everything, the servers last. Raises ConfigError."""
        tls = _server_tls(settings, stack)
        components = await Components.open(settings, stack)
        keys = ApiKeys(settings.api_keys)
        service, local = _grpc_service(components, keys, tls)
        _listen(service, components, tls.credentials())
        await service.start()
        stack.push_async_callback(service.drain, 0)
        stack.push_async_callback(local.close)
        http = await _start_http(components, keys, LocalChannel(local), stack)
        _start_guard(components, service, stack)
        log.info("serving", http=settings.port, grpc=settings.grpc_port, health=settings.health_port)
        return cls(components, service, http)

    async def until_stopped(self) -> None:
        """Wait for SIGTERM or SIGINT. Raises ConnectionLost when NATS is gone for good."""
        is_lost = self.components.jetstream.lost
        waits = [asyncio.create_task(stop_signal()), asyncio.create_task(is_lost.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waits)
        if is_lost.is_set():
            await self._close()  # waiting callers are told that their job goes on
            raise ConnectionLost

    async def drain(self) -> None:
        """Refuse new tasks, let running ones end, then end every wait and stop the servers. Jobs stay in the queue."""
        components = self.components
        components.jobs.is_draining = True
        await self.service.report_not_serving()
        await components.dispatcher.drain(components.settings.drain_seconds)
        await self._close()

    async def _close(self) -> None:
        self.components.jobs.closing.set()
        await asyncio.gather(self.http.drain(CLOSE_SECONDS), self.service.drain(CLOSE_SECONDS))


def _server_tls(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> ServerTls:
    """Return the TLS of the main port. Raises ConfigError."""
    identity = _followed(IdentityFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca), stack)
    return ServerTls(identity, require_client=settings.tls_require_client_cert)


def _grpc_service(components: Components, keys: ApiKeys, tls: ServerTls) -> tuple[Service, LocalServer]:
    """Return the servers of gRPC, and the same services for the JSON proxy, which needs no socket to call them."""
    settings, jobs, fleet, presenter = components.settings, components.jobs, components.fleet, components.presenter
    interceptors = (
        error_boundary(settings.max_call_seconds),
        tls.interceptor(),
        authentication(keys, KeyRateLimit(settings.rate_limit_per_minute)),
        admission(call_classes(settings.max_concurrent_calls)),
    )
    service = Service(interceptors, settings.max_call_seconds)
    local = LocalServer(interceptors)
    assets = AssetService(components.assets, presenter, components.transfers)
    runpod = components.providers.get("runpod")
    system = SystemService(
        pool=components.pool,
        jobs=jobs,
        endpoints=endpoints(),
        runpod_config=settings.providers["runpod"].endpoint or EndpointConfig("", 0, 0),
        runpod=runpod if isinstance(runpod, ServerlessProvider) else None,
        problem=lambda: components.guard.problem,
    )
    job_service = JobService(jobs, presenter, fleet, components.webhooks)
    servers: tuple[Any, ...] = (service.server, local)
    for server in servers:
        VideoService(jobs, presenter).add_to(server)
        jobs_pb2_grpc.add_JobServiceServicer_to_server(job_service, server)
        assets_pb2_grpc.add_AssetServiceServicer_to_server(assets, server)
        system_pb2_grpc.add_SystemServiceServicer_to_server(system, server)
        fleet_pb2_grpc.add_FleetServiceServicer_to_server(FleetService(fleet), server)
    externalscaler_pb2_grpc.add_ExternalScalerServicer_to_server(KedaScaler(jobs), service.probes)
    service.reflect([public.full_name for public in PUBLIC])
    return service, local


def _listen(service: Service, components: Components, credentials: grpc.ServerCredentials) -> None:
    """Bind the ports of gRPC and of probes."""
    settings, own = components.settings, components.own
    own.ports.add(service.listen(f"{settings.host}:{settings.grpc_port}", credentials))
    own.ports.add(service.listen_for_probes(f"{settings.host}:{settings.health_port}"))


def _start_guard(components: Components, service: Service, stack: contextlib.AsyncExitStack) -> None:
    """Watch over the store; while it takes no writes, health checks are told NOT_SERVING."""

    async def report() -> None:
        if components.jobs.is_draining:
            return
        await (service.report_serving() if components.guard.is_writable else service.report_not_serving())

    components.guard.on_change.append(report)
    components.guard.start()
    stack.push_async_callback(components.guard.stop)


async def _start_http(
    components: Components, keys: ApiKeys, channel: LocalChannel, stack: contextlib.AsyncExitStack
) -> HttpServer:
    """Start the HTTP side; `channel` leads to the services that it calls."""
    settings, links, assets = components.settings, components.links, components.assets
    rest = RestSettings(cors_allow_origins=settings.cors_allow_origins, public_url=settings.public_url or None)
    worker_links = None
    if any(isinstance(provider, ServerlessProvider) for provider in components.providers.values()):
        transfers = TransferSlots(settings.max_transfers)
        worker_links = WorkerLinks(components.tickets, links, assets, components.sources, transfers)
    # Not those of callers with a key: links are given to others, who may be slow.
    app = build_app(channel, keys, assets, links, rest, TransferSlots(settings.max_transfers), worker_links)
    http = HttpServer(app, settings.host, settings.port)
    components.own.ports.add(await http.start())
    stack.push_async_callback(http.drain, 0)
    return http

"""The gateway from start to drain: the servers of gRPC and HTTP on top of its parts."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.bytestream import bytestream_pb2, bytestream_pb2_grpc

from apigpu.v1 import (
    assets_pb2_grpc,
    destinations_pb2_grpc,
    fleet_pb2_grpc,
    jobs_pb2_grpc,
    keys_pb2_grpc,
    system_pb2_grpc,
    tenants_pb2_grpc,
    uploads_pb2_grpc,
    usage_pb2_grpc,
)
from externalscaler import externalscaler_pb2_grpc
from gateway.admission import call_classes
from gateway.assets.transfers import TransferSlots
from gateway.auth import ApiKeys, authentication
from gateway.components import Components, followed
from gateway.config import METRICS_PORT, GatewaySettings
from gateway.fleet.providers.base import EndpointConfig, ServerlessProvider
from gateway.jobs.quote import Quoter
from gateway.jobs.start_times import StartTimes
from gateway.metrics import ENCODER
from gateway.monitor import GatewayMonitor
from gateway.ratelimit import KeyRateLimit
from gateway.rest.routes import PUBLIC, endpoints
from gateway.rest.server import HttpServer, RestSettings, build_app
from gateway.rest.worker_links import WorkerLinks
from gateway.services.assets import AssetService
from gateway.services.bytestream import ByteStreamService
from gateway.services.destinations import DestinationService
from gateway.services.fleet import FleetService
from gateway.services.jobs import JobService
from gateway.services.keda import KedaScaler
from gateway.services.keys import KeyService
from gateway.services.system import SystemService
from gateway.services.tenants import TenantService
from gateway.services.tokens import PageTokens
from gateway.services.uploads import UploadService
from gateway.services.usage import UsageService
from gateway.services.video import VideoService
from servicekit.admission import admission
from servicekit.interceptors import error_boundary
from servicekit.local import LocalChannel, LocalServer
from servicekit.metrics import exported
from servicekit.server import Service, stop_signal
from servicekit.server_tls import ServerTls
from servicekit.tasks import cancel_and_wait
from servicekit.tls import IdentityFiles

log = structlog.get_logger("gateway")

CLOSE_SECONDS = 2.0
# Of each upload over gRPC so much, and the message that is read, is held before it is taken. Over a line of 100 ms that
# carries about 10 MiB/s; a client that has more uses several uploads, or HTTP.
STREAM_WINDOW_BYTES = 1024 * 1024


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
        keys = ApiKeys(settings.api_keys, admin_keys=settings.admin_keys, ring=components.ring)
        service, local = _grpc_service(components, keys, tls)
        _listen(service, components, tls.credentials())
        await _start_metrics(components, stack)
        await service.start()
        stack.push_async_callback(service.drain, 0)
        stack.push_async_callback(local.close)
        http = await _start_http(components, keys, LocalChannel(local), stack)
        _start_guard(components, service, stack)
        log.info(
            "serving",
            http=settings.port,
            grpc=settings.grpc_port,
            health=settings.health_port,
        )
        return cls(components, service, http)

    async def until_stopped(self) -> None:
        """Wait for SIGTERM or SIGINT. Raises ConnectionLost when NATS is gone for good."""
        is_lost = self.components.storage.jetstream.lost
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
        self.components.jobs.end_waits()
        await asyncio.gather(self.http.drain(CLOSE_SECONDS), self.service.drain(CLOSE_SECONDS))


async def _start_metrics(components: Components, stack: contextlib.AsyncExitStack) -> None:
    """Serve the metrics until `stack` ends. Raises ConfigError."""
    monitor, settings = GatewayMonitor(components), components.settings
    await stack.enter_async_context(exported(settings.host, settings.metrics_port, METRICS_PORT, monitor))


def _server_tls(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> ServerTls:
    """Return the TLS of the main port. Raises ConfigError."""
    identity = followed(IdentityFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca), stack)
    return ServerTls(identity, require_client=settings.tls_require_client_cert)


def _grpc_service(components: Components, keys: ApiKeys, tls: ServerTls) -> tuple[Service, LocalServer]:
    """Return the servers of gRPC, and the same services for the JSON proxy, which needs no socket to call them."""
    settings = components.settings
    interceptors = (
        error_boundary(settings.max_call_seconds),
        tls.interceptor(),
        authentication(keys, KeyRateLimit(settings.rate_limit_per_minute)),
        admission(call_classes(settings.max_concurrent_calls)),
    )
    service = Service(interceptors, settings.max_call_seconds, stream_window_bytes=STREAM_WINDOW_BYTES)
    local = LocalServer(interceptors)
    servers: tuple[Any, ...] = (service.server, local)
    services = list(_services(components))
    for server in servers:
        VideoService(components.jobs, components.presenter).add_to(server)
        for add, servicer in services:
            add(servicer, server)
    externalscaler_pb2_grpc.add_ExternalScalerServicer_to_server(KedaScaler(components.jobs), service.probes)
    service.reflect([public.full_name for public in (*PUBLIC, *bytestream_pb2.DESCRIPTOR.services_by_name.values())])
    return service, local


def _services(components: Components) -> Iterator[tuple[Callable[[Any, Any], None], object]]:
    """Yield the services, but for that of videos, each with what adds it to a server."""
    jobs, fleet, presenter, storage = components.jobs, components.fleet, components.presenter, components.storage
    guard, tokens = components.resources.sources.fetcher.guard, PageTokens(storage.links)
    uploads, transfers, index = storage.uploads, components.transfers, jobs.store.index
    yield (
        jobs_pb2_grpc.add_JobServiceServicer_to_server,
        JobService(
            jobs,
            presenter,
            fleet,
            components.webhooks,
            Quoter(jobs, components.pool, fleet, components.dispatcher.preparation.prefetcher),
            components.resources.logs,
            StartTimes(index, components.pool, jobs.progress, fleet),
            storage.assets,
        ),
    )
    assets = AssetService(storage.assets, presenter, transfers, storage.direct)
    yield assets_pb2_grpc.add_AssetServiceServicer_to_server, assets
    yield uploads_pb2_grpc.add_UploadServiceServicer_to_server, UploadService(uploads, presenter)
    streams = ByteStreamService(uploads, storage.assets, transfers)
    yield bytestream_pb2_grpc.add_ByteStreamServicer_to_server, streams
    yield system_pb2_grpc.add_SystemServiceServicer_to_server, _system(components)
    fleet_service = FleetService(fleet, components.pool, index.recent, storage.guard.floor, storage.links)
    yield fleet_pb2_grpc.add_FleetServiceServicer_to_server, fleet_service
    destinations = DestinationService(components.outputs, guard)
    yield destinations_pb2_grpc.add_DestinationServiceServicer_to_server, destinations
    yield keys_pb2_grpc.add_KeyServiceServicer_to_server, KeyService(components.ring, tokens)
    tenants = TenantService(components.tenancy.tenants, guard, tokens)
    yield tenants_pb2_grpc.add_TenantServiceServicer_to_server, tenants
    yield usage_pb2_grpc.add_UsageServiceServicer_to_server, UsageService(components.tenancy)


def _system(components: Components) -> SystemService:
    runpod = components.providers.get("runpod")
    return SystemService(
        pool=components.pool,
        jobs=components.jobs,
        endpoints=endpoints(),
        runpod_config=components.settings.providers["runpod"].endpoint or EndpointConfig("", 0, 0),
        runpod=runpod if isinstance(runpod, ServerlessProvider) else None,
        problem=lambda: components.storage.guard.problem,
    )


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
        await (service.report_serving() if components.storage.guard.is_writable else service.report_not_serving())

    components.storage.guard.on_change.append(report)
    components.storage.guard.start()
    stack.push_async_callback(components.storage.guard.stop)


async def _start_http(
    components: Components, keys: ApiKeys, channel: LocalChannel, stack: contextlib.AsyncExitStack
) -> HttpServer:
    """Start the HTTP side; `channel` leads to the services that it calls."""
    settings, links, assets = components.settings, components.storage.links, components.storage.assets
    rest = RestSettings(cors_allow_origins=settings.cors_allow_origins, public_url=settings.public_url or None)
    worker_links = None
    if any(isinstance(provider, ServerlessProvider) for provider in components.providers.values()):
        transfers = TransferSlots(settings.max_transfers, peer=ENCODER)
        worker_links = WorkerLinks(components.tickets, links, assets, components.resources.sources, transfers)
    # Not those of callers with a key: links are given to others, who may be slow.
    app = build_app(
        channel,
        keys,
        assets,
        links,
        rest,
        TransferSlots(settings.max_transfers),
        worker_links,
        components.storage.direct,
        components.jobs.store,
    )
    http = HttpServer(app, settings.host, settings.port)
    components.own.ports.add(await http.start())
    stack.push_async_callback(http.drain, 0)
    return http

"""The gateway from start to drain: its parts, and the servers of gRPC and HTTP on top of them."""

import asyncio
import contextlib
import tempfile
from dataclasses import dataclass

import grpc
import structlog

from apigpu.v1 import assets_pb2_grpc, fleet_pb2_grpc, jobs_pb2_grpc, system_pb2_grpc
from externalscaler import externalscaler_pb2_grpc
from gateway.assets.store import TransferSlots
from gateway.auth import ApiKeys, authentication
from gateway.components import Components
from gateway.config import GatewaySettings
from gateway.fleet.providers.base import EndpointConfig, ServerlessProvider
from gateway.ratelimit import KeyRateLimit
from gateway.rest.routes import endpoints
from gateway.rest.server import HttpServer, RestSettings, build_app
from gateway.rest.worker_links import WorkerLinks
from gateway.services.assets import AssetService
from gateway.services.fleet import FleetService
from gateway.services.jobs import JobService
from gateway.services.keda import KedaScaler
from gateway.services.presenters import Presenter
from gateway.services.system import SystemService
from gateway.services.video import VideoService
from servicekit.chunks import MAX_MESSAGE_BYTES
from servicekit.interceptors import error_boundary
from servicekit.server import Service, stop_signal
from servicekit.tasks import cancel_and_wait
from servicekit.tls import Identity

log = structlog.get_logger("gateway")

SERVICES = tuple(f"apigpu.v1.{name}Service" for name in ("Video", "Job", "Asset", "Fleet", "System"))
CHANNEL_OPTIONS = tuple(
    (f"grpc.max_{direction}_message_length", MAX_MESSAGE_BYTES) for direction in ("receive", "send")
)
CLOSE_SECONDS = 2.0


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
        identity = Identity.read(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        credentials = identity.server_credentials(require_client=settings.tls_require_client_cert)
        components = await Components.open(settings, stack)
        service = _grpc_service(components)
        private_address = _listen(service, settings, credentials, stack)
        await service.start()
        stack.push_async_callback(service.drain, 0)
        http = await _start_http(components, private_address, stack)
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
        self.components.jobs.close()
        await asyncio.gather(self.http.drain(CLOSE_SECONDS), self.service.drain(CLOSE_SECONDS))


def _grpc_service(components: Components) -> Service:
    settings, jobs, fleet = components.settings, components.jobs, components.fleet
    interceptors = (
        error_boundary(settings.max_call_seconds),
        authentication(ApiKeys(settings.api_keys), KeyRateLimit(settings.rate_limit_per_minute)),
    )
    service = Service(interceptors, settings.max_concurrent_calls, settings.max_call_seconds)
    server = service.server
    public_url = settings.public_url or f"http://localhost:{settings.port}"
    presenter = Presenter(components.links, fleet.registry.cost, public_url)
    VideoService(jobs, presenter).add_to(server)
    jobs_pb2_grpc.add_JobServiceServicer_to_server(JobService(jobs, presenter, fleet), server)
    assets = AssetService(components.assets, presenter, components.transfers)
    assets_pb2_grpc.add_AssetServiceServicer_to_server(assets, server)
    system_pb2_grpc.add_SystemServiceServicer_to_server(_system_service(components), server)
    fleet_pb2_grpc.add_FleetServiceServicer_to_server(FleetService(fleet), server)
    externalscaler_pb2_grpc.add_ExternalScalerServicer_to_server(KedaScaler(jobs), service.probes)
    service.reflect(SERVICES)
    return service


def _system_service(components: Components) -> SystemService:
    runpod = components.providers.get("runpod")
    return SystemService(
        pool=components.pool,
        jobs=components.jobs,
        endpoints=endpoints(),
        runpod_config=components.settings.providers["runpod"].endpoint or EndpointConfig("", 0, 0),
        runpod=runpod if isinstance(runpod, ServerlessProvider) else None,
    )


def _listen(
    service: Service, settings: GatewaySettings, credentials: grpc.ServerCredentials, stack: contextlib.AsyncExitStack
) -> str:
    """Bind the ports of gRPC and of probes, and a private socket for the JSON proxy; return that socket's address."""
    service.listen(f"{settings.host}:{settings.grpc_port}", credentials)
    service.listen_for_probes(f"{settings.host}:{settings.health_port}")
    # In a folder that only this user can enter: calls on this socket are trusted in what they say of their caller.
    address = f"unix:{stack.enter_context(tempfile.TemporaryDirectory(prefix='api-gpu-'))}/gateway.sock"
    service.listen(address, None)
    return address


async def _start_http(components: Components, address: str, stack: contextlib.AsyncExitStack) -> HttpServer:
    """Start the HTTP side; `address` is the private socket of gRPC that it calls."""
    settings, links, assets = components.settings, components.links, components.assets
    channel = grpc.aio.insecure_channel(address, CHANNEL_OPTIONS)
    stack.push_async_callback(channel.close)
    rest = RestSettings(cors_allow_origins=settings.cors_allow_origins, public_url=settings.public_url or None)
    worker_links = None
    if any(isinstance(provider, ServerlessProvider) for provider in components.providers.values()):
        transfers = TransferSlots(settings.max_transfers)
        worker_links = WorkerLinks(components.tickets, links, assets, components.sources, transfers)
    app = build_app(channel, assets, links, rest, components.transfers, worker_links)
    http = HttpServer(app, settings.host, settings.port)
    await http.start()
    stack.push_async_callback(http.drain, 0)
    return http

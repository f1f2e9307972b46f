"""The only place that constructs and wires the gateway's parts, and takes them down in the right order."""

import asyncio
import contextlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

import grpc
import structlog

from apigpu.v1 import assets_pb2_grpc, fleet_pb2_grpc, jobs_pb2_grpc, system_pb2_grpc
from externalscaler import externalscaler_pb2_grpc
from gateway import components
from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore, TransferSlots
from gateway.auth.interceptor import authentication
from gateway.auth.keys import ApiKeys
from gateway.config import GatewaySettings
from gateway.fleet.fleet import Fleet
from gateway.fleet.providers.base import EndpointConfig, Provider, ServerlessProvider
from gateway.fleet.setup import fleet_config, open_fleet
from gateway.jetstream.connection import JetStream
from gateway.jobs import orphans
from gateway.jobs.dispatcher import Dispatcher
from gateway.jobs.manager import JobManager
from gateway.jobs.progress import ProgressBus
from gateway.jobs.queue import TaskQueue
from gateway.jobs.setup import JobLimits, start_jobs
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
from gateway.workers.base import ResumableEncoder
from gateway.workers.pool import Pool
from gateway.workers.tickets import Tickets
from servicekit.chunks import MAX_MESSAGE_BYTES
from servicekit.interceptors import error_boundary
from servicekit.server import Service, stop_signal
from servicekit.tasks import cancel_and_wait
from servicekit.tls import Identity

log = structlog.get_logger("gateway")

SERVICES = tuple(f"apigpu.v1.{name}Service" for name in ("Video", "Job", "Asset", "Fleet", "System"))
CLOSE_SECONDS = 2.0


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises servicekit.config.ConfigError when it cannot start."""
    async with contextlib.AsyncExitStack() as stack:
        gateway = await Gateway.open(settings, stack)
        await gateway.until_stopped()
        log.info("draining", seconds=settings.drain_seconds)
        await gateway.drain()


class ConnectionLost(Exception):
    """NATS ended the connection for good; a new process must connect anew."""


@dataclass(frozen=True)
class Gateway:
    """The running gateway. What must end is pushed on the exit stack as it is opened, so it ends in reverse."""

    settings: GatewaySettings
    jetstream: JetStream
    service: Service
    http: HttpServer
    dispatcher: Dispatcher
    jobs: JobManager

    @classmethod
    async def open(cls, settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> "Gateway":
        """Start everything, the doors last."""
        identity = Identity(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        credentials = identity.server_credentials(require_client=settings.tls_require_client_cert)

        jetstream = await components.jetstream(settings, stack)
        assets = components.asset_store(settings, stack)
        store = await components.job_store(settings, jetstream, stack)
        queue, progress = TaskQueue(await jetstream.queue("tasks", settings.ack_wait_seconds)), ProgressBus(jetstream)
        sources = components.sources(settings, assets, stack)
        links = LinkSigner(components.link_secret(settings), settings.link_ttl_seconds)
        tickets = Tickets(await jetstream.key_value("tickets"))
        providers = components.providers(settings, tickets, assets, links)
        endpoints = [p.endpoint for p in providers.values() if isinstance(p, ServerlessProvider)]
        resumable = [endpoint for endpoint in endpoints if isinstance(endpoint, ResumableEncoder)]
        pool = components.pool(settings, stack)
        config = fleet_config(settings, settings.job_retention_seconds)
        fleet = await open_fleet(config, await jetstream.key_value("fleet"), pool, store.index, providers, stack)
        fleet.controller.start()
        stack.push_async_callback(fleet.controller.close)
        limits = JobLimits(settings.max_task_seconds, settings.task_attempts, settings.max_batch_items)
        jobs, dispatcher = start_jobs(store, queue, progress, sources, assets, pool, fleet, limits, stack, resumable)
        if resumable:
            components.background(stack, orphans.reap_orphaned_runs(store, resumable))

        transfers = TransferSlots(settings.max_transfers)
        service = _service(
            settings, jobs, assets, transfers, pool, Presenter(links, fleet.meter.cost), fleet, providers
        )
        private = _listening(service, settings, credentials, stack)
        await service.start()
        stack.push_async_callback(service.drain, 0)
        door = WorkerLinks(tickets, links, assets, sources, settings.max_transfers) if endpoints else None
        http = await _http(settings, private, assets, links, transfers, door, stack)
        log.info("serving", http=settings.port, grpc=settings.grpc_port, health=settings.health_port)
        return cls(settings, jetstream, service, http, dispatcher, jobs)

    async def until_stopped(self) -> None:
        """Wait for SIGTERM or SIGINT. Raises ConnectionLost when NATS is gone for good."""
        waits = [asyncio.create_task(stop_signal()), asyncio.create_task(self.jetstream.lost.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waits)
        if self.jetstream.lost.is_set():
            await self._close()  # whoever waits hears that its job goes on
            raise ConnectionLost

    async def drain(self) -> None:
        """Refuse new tasks, let what runs end, then end every wait and close the doors. Jobs stay in the queue."""
        self.jobs.is_draining = True
        await self.service.report_not_serving()
        await self.dispatcher.drain(self.settings.drain_seconds)
        await self._close()

    async def _close(self) -> None:
        self.jobs.close()
        await asyncio.gather(self.http.drain(CLOSE_SECONDS), self.service.drain(CLOSE_SECONDS))


def _service(
    settings: GatewaySettings,
    jobs: JobManager,
    assets: AssetStore,
    transfers: TransferSlots,
    pool: Pool,
    messages: Presenter,
    fleet: Fleet,
    providers: Mapping[str, Provider],
) -> Service:
    public_url = settings.public_url or f"http://localhost:{settings.port}"
    interceptors = (
        error_boundary(settings.max_call_seconds),
        authentication(ApiKeys(settings.api_keys), KeyRateLimit(settings.rate_limit_per_minute)),
    )
    service = Service(interceptors, settings.max_concurrent_calls, settings.max_call_seconds)
    VideoService(jobs, messages, public_url).add_to(service.server)
    jobs_pb2_grpc.add_JobServiceServicer_to_server(JobService(jobs, messages, fleet, public_url), service.server)
    files = AssetService(assets, messages, public_url, transfers)
    assets_pb2_grpc.add_AssetServiceServicer_to_server(files, service.server)
    system = _system_service(settings, pool, jobs, providers)
    system_pb2_grpc.add_SystemServiceServicer_to_server(system, service.server)
    fleet_pb2_grpc.add_FleetServiceServicer_to_server(FleetService(fleet), service.server)
    externalscaler_pb2_grpc.add_ExternalScalerServicer_to_server(KedaScaler(jobs), service.probes)
    service.reflect(SERVICES)
    return service


def _system_service(
    settings: GatewaySettings, pool: Pool, jobs: JobManager, providers: Mapping[str, Provider]
) -> SystemService:
    config = settings.providers["runpod"].endpoint or EndpointConfig("", 0, 0)
    runpod = providers.get("runpod")
    return SystemService(pool, jobs, endpoints(), config, runpod if isinstance(runpod, ServerlessProvider) else None)


def _listening(
    service: Service, settings: GatewaySettings, credentials: grpc.ServerCredentials, stack: contextlib.AsyncExitStack
) -> str:
    """Bind the ports of gRPC and of probes, and a private socket for the JSON proxy; the address of that."""
    service.listen(f"{settings.host}:{settings.grpc_port}", credentials)
    service.listen_for_probes(f"{settings.host}:{settings.health_port}")
    # A folder only this user can enter: whoever opens the socket is believed what it says of its caller.
    private = f"unix:{stack.enter_context(tempfile.TemporaryDirectory(prefix='api-gpu-'))}/gateway.sock"
    service.listen(private, None)
    return private


async def _http(
    settings: GatewaySettings,
    private: str,
    assets: AssetStore,
    links: LinkSigner,
    transfers: TransferSlots,
    door: WorkerLinks | None,
    stack: contextlib.AsyncExitStack,
) -> HttpServer:
    """The JSON side; `private` is the socket of the service that it calls."""
    channel = grpc.aio.insecure_channel(private, _channel_options())
    stack.push_async_callback(channel.close)
    rest = RestSettings(cors_allow_origins=settings.cors_allow_origins, public_url=settings.public_url or None)
    http = HttpServer(build_app(channel, assets, links, rest, transfers, door), settings.host, settings.port)
    await http.start()
    stack.push_async_callback(http.drain, 0)
    return http


def _channel_options() -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    )

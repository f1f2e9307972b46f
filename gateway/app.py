"""The only place that constructs and wires the gateway's parts, and takes them down in the right order."""

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import Coroutine

import grpc
import structlog

from apigpu.v1 import assets_pb2_grpc, fleet_pb2_grpc, jobs_pb2_grpc, system_pb2_grpc
from externalscaler import externalscaler_pb2_grpc
from gateway.assets.links import Links
from gateway.assets.store import AssetStore
from gateway.assets.transfers import Transfers
from gateway.auth.interceptor import key_required
from gateway.auth.keys import Keys
from gateway.auth.limits import RateLimit
from gateway.config import GatewaySettings
from gateway.encoders.own import OwnEncoders
from gateway.encoders.pool import Pool
from gateway.encoders.remote import TaskLinks
from gateway.encoders.runpod import RunpodEncoder, RunpodTerms
from gateway.encoders.runpodclient import RunpodClient
from gateway.encoders.tickets import Tickets
from gateway.engine.nats import Engine
from gateway.fleet.fleet import Fleet
from gateway.fleet.wiring import open_fleet, start_control
from gateway.jobs import leftovers
from gateway.jobs.board import Board
from gateway.jobs.budget import Budget
from gateway.jobs.desk import Desk
from gateway.jobs.dispatch import Dispatcher
from gateway.jobs.metered import Metered
from gateway.jobs.queue import TaskQueue
from gateway.jobs.run import TaskRun
from gateway.jobs.store import JobStore
from gateway.rest.routes import endpoints
from gateway.rest.server import HttpServer, build_app
from gateway.rest.settings import RestSettings
from gateway.rest.tasks import TaskDoor
from gateway.services.assets import AssetService
from gateway.services.fleet import FleetService
from gateway.services.jobs import JobService
from gateway.services.keda import KedaScaler
from gateway.services.messages import Messages
from gateway.services.system import SystemService
from gateway.services.video import VideoService
from gateway.sources import Sources
from gateway.sources.fetch import Fetcher, FetchLimits
from rpc.chunks import MAX_MESSAGE_BYTES
from rpc.interceptors import boundary
from rpc.server import Service, stop_signal
from rpc.tasks import ended, survived
from rpc.tls import Identity

log = structlog.get_logger("gateway")

SERVICES = tuple(f"apigpu.v1.{name}Service" for name in ("Video", "Job", "Asset", "Fleet", "System"))
SWEEP_SECONDS = 600.0
CLOSE_SECONDS = 2.0


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises rpc.config.ConfigError when it cannot start."""
    async with contextlib.AsyncExitStack() as stack:
        gateway = await Gateway.open(settings, stack)
        await gateway.until_stopped()
        log.info("draining", seconds=settings.drain_seconds)
        await gateway.drain()


class ConnectionLost(Exception):
    """NATS ended the connection for good; a new process must connect anew."""


class Gateway:
    """The running gateway. What needs an end is pushed on the exit stack as it is made, so it ends in reverse."""

    def __init__(
        self,
        settings: GatewaySettings,
        engine: Engine,
        service: Service,
        http: HttpServer,
        dispatcher: Dispatcher,
        desk: Desk,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._service = service
        self._http = http
        self._dispatcher = dispatcher
        self._desk = desk

    @classmethod
    async def open(cls, settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> "Gateway":
        """Start everything, the doors last."""
        identity = Identity(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        credentials = identity.server_credentials(require_client=settings.tls_require_client_cert)

        engine = await Engine.open(
            settings.nats_url, settings.data_dir / "nats", settings.nats_connect_seconds, settings.nats_replicas
        )
        stack.push_async_callback(engine.close)
        assets = AssetStore(
            settings.assets_location,
            retention_seconds=settings.asset_retention_seconds,
            max_bytes=settings.max_asset_bytes,
        )
        _background(stack, _sweep(assets))
        store = JobStore(await engine.key_value("jobs"), settings.job_retention_seconds)
        await store.start()
        stack.push_async_callback(store.stop)
        queue = TaskQueue(await engine.queue("tasks", settings.ack_wait_seconds))
        board = Board(engine)
        fetcher = Fetcher(_fetch_limits(settings))
        stack.push_async_callback(fetcher.aclose)
        sources = Sources(fetcher, assets)

        links = Links(_link_secret(settings), settings.link_ttl_seconds)
        tickets = Tickets(await engine.key_value("tickets"))
        runpod = _runpod(settings, tickets, assets, links)
        pool = Pool()
        stack.push_async_callback(pool.close)
        own = _own_encoders(settings, pool)
        stack.push_async_callback(own.close)
        fleet = await open_fleet(
            settings,
            await engine.key_value("fleet"),
            pool,
            store.index,
            runpod,
            settings.max_task_seconds,
            settings.job_retention_seconds,
            settings.max_asset_bytes,
            stack,
        )
        budget = Budget(fleet, pool)
        metered = Metered(store, fleet)
        desk = Desk(store, queue, board, sources, settings.max_batch_items, budget.check)
        stack.push_async_callback(desk.stop)
        run = TaskRun(store, board, sources, assets, settings.max_task_seconds, settings.task_attempts, runpod)
        dispatcher = Dispatcher(store, queue, pool, run, metered, settings.task_attempts)
        start_control(fleet, stack)
        dispatcher.start()
        stack.push_async_callback(dispatcher.drain, 0)

        if runpod:
            _background(stack, leftovers.sweep_for_ever(store, runpod))

        transfers = Transfers(settings.max_transfers)
        service = _service(settings, desk, assets, transfers, pool, Messages(links, fleet.meter.cost), fleet, runpod)
        private = _listening(service, settings, credentials, stack)
        await service.start()
        stack.push_async_callback(service.drain, 0)

        channel = grpc.aio.insecure_channel(private, _channel_options())
        stack.push_async_callback(channel.close)
        rest = RestSettings(cors_allow_origins=settings.cors_allow_origins, public_url=settings.public_url or None)
        door = TaskDoor(tickets, links, assets, sources, settings.max_transfers) if runpod else None
        http = HttpServer(build_app(channel, assets, links, rest, transfers, door), settings.host, settings.port)
        await http.start()
        stack.push_async_callback(http.drain, 0)
        log.info("serving", http=settings.port, grpc=settings.grpc_port, health=settings.health_port)
        return cls(settings, engine, service, http, dispatcher, desk)

    async def until_stopped(self) -> None:
        """Wait for SIGTERM or SIGINT. Raises ConnectionLost when NATS is gone for good."""
        waits = [asyncio.create_task(stop_signal()), asyncio.create_task(self._engine.lost.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(*waits)
        if self._engine.lost.is_set():
            await self._close()  # whoever waits hears that its job goes on
            raise ConnectionLost

    async def drain(self) -> None:
        """Refuse new tasks, let what runs end, then end every wait and close the doors. Jobs stay in the queue."""
        self._desk.is_draining = True
        await self._service.not_serving()
        await self._dispatcher.drain(self._settings.drain_seconds)
        await self._close()

    async def _close(self) -> None:
        self._desk.close()
        await asyncio.gather(self._http.drain(CLOSE_SECONDS), self._service.drain(CLOSE_SECONDS))


def _service(
    settings: GatewaySettings,
    desk: Desk,
    assets: AssetStore,
    transfers: Transfers,
    pool: Pool,
    messages: Messages,
    fleet: Fleet,
    runpod: RunpodEncoder | None,
) -> Service:
    public_url = settings.public_url or f"http://localhost:{settings.port}"
    interceptors = (
        boundary(settings.max_call_seconds),
        key_required(Keys(settings.api_keys), RateLimit(settings.rate_limit_per_minute)),
    )
    service = Service(interceptors, settings.max_concurrent_calls, settings.max_call_seconds)
    VideoService(desk, messages, public_url).add_to(service.server)
    jobs_pb2_grpc.add_JobServiceServicer_to_server(JobService(desk, messages, fleet, public_url), service.server)
    files = AssetService(assets, messages, public_url, transfers)
    assets_pb2_grpc.add_AssetServiceServicer_to_server(files, service.server)
    system = SystemService(settings, pool, desk, endpoints(), runpod)
    system_pb2_grpc.add_SystemServiceServicer_to_server(system, service.server)
    fleet_pb2_grpc.add_FleetServiceServicer_to_server(FleetService(fleet), service.server)
    externalscaler_pb2_grpc.add_ExternalScalerServicer_to_server(KedaScaler(desk), service.probes)
    service.reflect(SERVICES)
    return service


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


def _own_encoders(settings: GatewaySettings, pool: Pool) -> OwnEncoders:
    identity = Identity(settings.tls_cert, settings.tls_key, settings.encoder_ca)
    credentials = identity.channel_credentials()
    token = settings.session_token.get_secret_value()
    return OwnEncoders(settings.encoders, pool, credentials, token)


def _runpod(settings: GatewaySettings, tickets: Tickets, assets: AssetStore, links: Links) -> RunpodEncoder | None:
    """The endpoint at RunPod, where one is set."""
    key = settings.runpod_api_key.get_secret_value()
    if not settings.has_runpod:
        return None
    client = RunpodClient(settings.runpod_url, settings.runpod_endpoint_id, key, rest_url=settings.runpod_rest_url)
    terms = RunpodTerms(max_seconds=settings.runpod_max_timeout)
    task_links = TaskLinks(links, assets, settings.public_url, terms.life_seconds)
    return RunpodEncoder(client, tickets, assets, task_links, terms)


def _fetch_limits(settings: GatewaySettings) -> FetchLimits:
    return FetchLimits(
        max_bytes=settings.max_asset_bytes,
        connect_seconds=settings.fetch_connect_seconds,
        idle_seconds=settings.fetch_idle_seconds,
        total_seconds=settings.fetch_total_seconds,
        allow_cidrs=settings.fetch_allow_cidrs,
    )


def _channel_options() -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    )


def _link_secret(settings: GatewaySettings) -> bytes:
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


def _background(stack: contextlib.AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    stack.push_async_callback(ended, asyncio.create_task(work))


async def _sweep(assets: AssetStore) -> None:
    while True:
        with survived("cannot sweep assets"):
            if swept := await assets.sweep():
                log.info("expired assets deleted", count=swept)
        await asyncio.sleep(SWEEP_SECONDS)

"""The gRPC server of the encoder: EncoderService; which peers may call it, beside the client certificate that TLS asks
for, and when the last one did."""

import asyncio
import contextlib
import functools
import hmac
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from apigpu.v1 import options_pb2, video_pb2
from encoder.codecs.card import Card
from encoder.codecs.nvenc import driver
from encoder.config import METRICS_PORT, EncoderSettings
from encoder.media.info import Range
from encoder.tasks import inputs
from encoder.tasks.capabilities import VERSION, Capabilities
from encoder.tasks.executor import TaskExecutor, Work, open_executor
from encoder.tasks.metrics import SLOTS
from encoder.tasks.results import ResultStream
from encoder.tasks.slots import Slots
from servicekit import tracing
from servicekit.addresses import client_network, peer_address
from servicekit.admission import CallClass, Classify, admission, open_class
from servicekit.chunk_messages import ChunkMessage, takes
from servicekit.chunks import ACCEPTED, ASKS_RANGES, SMALL_INPUTS
from servicekit.composing import COMPOSES, OWN_INDEXES
from servicekit.concurrency import ConcurrencyLimit
from servicekit.config import Network
from servicekit.errors import PermissionDenied, Unauthenticated
from servicekit.interceptors import QUIET, AroundCall, Context, error_boundary, metadata
from servicekit.metrics import exported
from servicekit.server import Service
from servicekit.server_tls import ServerTls
from servicekit.tasks import running

log = structlog.get_logger("encoder")

NAME = encoder_pb2.DESCRIPTOR.services_by_name["EncoderService"].full_name
# Tasks beside those that have a slot, to be refused; and other calls of gateways at once.
SPARE_CALLS = 64
# So long a gateway may take for its first message; the further ones come as fast as the inputs are read.
FIRST_MESSAGE_SECONDS = 60.0
ENCODE = f"/{NAME}/Encode"
TOKEN = "x-session-token"
# What a gateway is told with the slot of its task.
ACCEPTS = tuple((name, "1") for name in (ACCEPTED, SMALL_INPUTS, COMPOSES, OWN_INDEXES, ASKS_RANGES))
RESPONSE = ChunkMessage(encoder_pb2.EncodeResponse, "chunk")
KINDS = video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"].fields
HEALTH_SECONDS = 1.0
BOOT_ID = secrets.token_hex(8)
# Those of Slots that are told to Prometheus.
SLOT_STATES = ("total", "busy", "stuck")


@dataclass(frozen=True)
class EncoderServicer(encoder_pb2_grpc.EncoderServiceServicer):
    """Serves encoder.proto."""

    executor: TaskExecutor

    # It writes to the context by itself: a generator left at a `yield` would keep its FFmpeg until it is collected.
    @takes(inputs.REQUEST)
    async def Encode(self, request_iterator: inputs.Requests, context: Context) -> None:
        async def write(**part: Any) -> None:
            await context.write(encoder_pb2.EncodeResponse(**part))

        task = await inputs.read_task(request_iterator)
        async with self.executor.reserve(task) as reservation:
            await context.send_initial_metadata(ACCEPTS)
            max_bytes = self.executor.settings.max_input_bytes
            folder = reservation.folder
            with tracing.span("receive inputs", inputs=len(task.inputs)):
                limits = folder.path, max_bytes, folder.check_room
                if task.small_inputs:
                    sources = await inputs.take_small(task, *limits)
                else:
                    sources = await inputs.receive(request_iterator, task.inputs, *limits)
            stream = ResultStream(lambda data: context.write(RESPONSE.outgoing(data)), lambda file: write(file=file))

            async def ask(field: str, ranges: Sequence[Range]) -> None:
                index = next(number for number, item in enumerate(task.inputs) if field in (item.field, *item.also))
                asked = [encoder_pb2.ByteRange(start=start, end=end) for start, end in ranges]
                await write(wanted=encoder_pb2.WantedRanges(input=index, ranges=asked))
                await inputs.receive_more(request_iterator, index, sources[field], max_bytes, folder.check_room)

            work = Work(task, sources, reservation, lambda progress: write(progress=progress), stream)
            if ASKS_RANGES in metadata(context):
                work = replace(work, ask=ask)
            await write(summary=await self.executor.run(work))

    async def GetCapabilities(
        self, request: encoder_pb2.GetCapabilitiesRequest, context: Context
    ) -> encoder_pb2.GetCapabilitiesResponse:
        slots, limits, capabilities = self.executor.slots, self.executor.settings, self.executor.capabilities
        return encoder_pb2.GetCapabilitiesResponse(
            # On a full disk a task would be refused again and again; in the queue it waits for this or another one.
            slots=slots.offered if self.executor.workspace.has_room else 0,
            busy=slots.busy,
            operations=[field.name for field in KINDS if not _is_graph(field.message_type)],
            stuck_slots=slots.stuck,
            codecs=_codecs(capabilities, working=True),
            unusable_codecs=_codecs(capabilities, working=False),
            cards=[_card(card) for card in capabilities.cards],
            version=VERSION,
            ffmpeg_version=capabilities.ffmpeg_version,
            max_input_bytes=limits.max_input_bytes,
            max_duration_seconds=limits.max_duration_seconds,
            max_task_seconds=limits.max_task_seconds,
            sandbox=capabilities.ffmpeg.sandbox.name,
            driver=driver.versions(),
            boot_id=BOOT_ID,
        )


def _is_graph(message: Any) -> bool:
    """Return True for an operation that is made of others, which the gateway takes apart."""
    return bool(message.GetOptions().Extensions[options_pb2.rules].graph)


def _codecs(capabilities: Capabilities, *, working: bool) -> list[encoder_pb2.Codec]:
    return [
        encoder_pb2.Codec(name=state.codec.name, format=state.codec.format, fault=state.fault)
        for state in capabilities.codecs
        if working is not bool(state.fault)
    ]


def _card(card: Card) -> encoder_pb2.Card:
    return encoder_pb2.Card(
        name=card.name,
        formats=list(card.formats),
        fault=card.fault,
        sessions=card.sessions,
        decodes=card.decodes,
        decode_fault=card.decode_fault,
    )


def access_control(networks: Sequence[Network], session_token: str) -> AroundCall:
    """Return an interceptor that accepts calls from `networks` (empty: any) with the token (empty: none needed)."""

    @contextlib.asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[None]:
        if networks and not is_allowed(context.peer(), networks):
            raise PermissionDenied("Your address may not use this encoder; see ALLOWED_IPS.", reason="ADDRESS")
        token = metadata(context).get(TOKEN, "")
        if session_token and not hmac.compare_digest(token.encode(), session_token.encode()):
            raise Unauthenticated(f"Metadata `{TOKEN}` is missing or is not this encoder's.", reason="SESSION_TOKEN")
        yield

    return AroundCall(around)


def is_allowed(peer: str, networks: Sequence[Network]) -> bool:
    """Return True if a gRPC peer ("ipv4:127.0.0.1:5000", "ipv6:[::1]:5000") is in one of `networks`."""
    address = peer_address(peer)
    return address is not None and any(address in network for network in networks)


def call_classes(slots: int) -> Classify:
    """Return the classes of calls: health, tasks, and the rest."""
    tasks = CallClass(ConcurrencyLimit(slots + SPARE_CALLS, "tasks"), FIRST_MESSAGE_SECONDS, None)
    others = CallClass(ConcurrencyLimit(SPARE_CALLS, "calls"), FIRST_MESSAGE_SECONDS)
    health = open_class("health checks", is_preemptible=True)

    def classify(method: str, context: Context) -> tuple[CallClass, str]:
        client = client_network(peer_address(context.peer()))
        if method.startswith(QUIET):
            return health, client
        return (tasks if method == ENCODE else others), client

    return classify


class IdleMonitor:
    """Counts the calls that are open, and knows when the last one ended, so that an encoder that nobody calls any more
    can end; probes of health do not count."""

    def __init__(self) -> None:
        self._open = 0
        self._last_at = time.monotonic()

    def interceptor(self) -> AroundCall:
        """Return an interceptor, to stand behind access control: a refused call does not count."""

        @contextlib.asynccontextmanager
        async def around(method: str, context: Context) -> AsyncIterator[None]:
            if method.startswith(QUIET):
                yield
                return
            self._open += 1
            try:
                yield
            finally:
                self._open -= 1
                self._last_at = time.monotonic()

        return AroundCall(around)

    async def wait_idle(self, seconds: float) -> None:
        """Return once no call has been open for `seconds`; 0: never."""
        if not seconds:
            await asyncio.Event().wait()
        left = seconds
        while left > 0:
            await asyncio.sleep(left)
            last_at = time.monotonic() if self._open else self._last_at
            left = last_at + seconds - time.monotonic()


async def follow_slots(service: Service, slots: Slots) -> None:
    """Report NOT_SERVING while no slot is in service, so that who watches over the encoder starts it anew."""
    is_serving = True
    while True:
        await asyncio.sleep(HEALTH_SECONDS)
        if is_serving is slots.are_all_stuck:
            is_serving = not is_serving
            await (service.report_serving() if is_serving else service.report_not_serving())


@contextlib.asynccontextmanager
async def serve(settings: EncoderSettings, idle: IdleMonitor) -> AsyncIterator[None]:
    """Serve until the block is left, and then drain. Raises ConfigError."""
    identity = settings.identity()
    tls = ServerTls(identity, require_client=True)
    async with (
        open_executor(settings) as executor,
        running(identity.follow()),
        exported(settings.host, settings.metrics_port, METRICS_PORT),
    ):
        for state in SLOT_STATES:
            SLOTS.labels(state).set_function(functools.partial(getattr, executor.slots, state))
        service = Service(
            interceptors=[
                error_boundary(settings.max_task_seconds),
                tls.interceptor(),
                access_control(settings.allowed_ips, settings.session_token.get_secret_value()),
                admission(call_classes(settings.batch_size)),
                idle.interceptor(),
            ],
            max_call_seconds=settings.max_task_seconds,
        )
        encoder_pb2_grpc.add_EncoderServiceServicer_to_server(EncoderServicer(executor), service.server)
        service.reflect([NAME])
        port = service.listen(f"{settings.host}:{settings.port}", tls.credentials())
        health_port = service.listen_for_probes(f"{settings.host}:{settings.health_port}")
        await service.start()
        log.info(
            "serving",
            port=port,
            health_port=health_port,
            codec=executor.codecs[0].codec.name,
            codec_reason=executor.codecs[0].reason,
            slots=executor.slots.total,
            sandbox=executor.capabilities.ffmpeg.sandbox.name,
        )
        try:
            async with running(follow_slots(service, executor.slots)):
                yield
        finally:
            executor.slots.close()
            log.info("draining", busy=executor.slots.busy, seconds=settings.drain_seconds)
            await service.drain(settings.drain_seconds)

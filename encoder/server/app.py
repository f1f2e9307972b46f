"""The gRPC server of the encoder: EncoderService, and all that stands around it, wired together."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import structlog

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from encoder.codecs.nvenc import driver
from encoder.config import EncoderSettings
from encoder.media.info import Source
from encoder.operations import OPERATIONS
from encoder.server.interceptors import IdleMonitor, access_control
from encoder.tasks import inputs
from encoder.tasks.capabilities import VERSION, Capabilities
from encoder.tasks.executor import TaskExecutor, Work, open_executor
from encoder.tasks.results import ResultStream
from encoder.tasks.workspace import TaskFolder
from servicekit.chunks import ACCEPTED
from servicekit.errors import ServiceError
from servicekit.interceptors import Context, error_boundary
from servicekit.server import Service

log = structlog.get_logger("encoder")

NAME = encoder_pb2.DESCRIPTOR.services_by_name["EncoderService"].full_name
# Calls beside the tasks: capabilities, health, reflection, and tasks that are to be refused.
SPARE_CALLS = 64


@dataclass(frozen=True)
class EncoderServicer(encoder_pb2_grpc.EncoderServiceServicer):
    """Serves encoder.proto."""

    executor: TaskExecutor

    # It writes to the context by itself: a generator left at a `yield` would keep its FFmpeg until it is collected.
    async def Encode(self, request_iterator: inputs.Requests, context: Context) -> None:  # type: ignore[override]
        async def write(**part: Any) -> None:
            await context.write(encoder_pb2.EncodeResponse(**part))

        task = await inputs.read_task(request_iterator)
        async with self.executor.reserve(task) as folder:
            await context.send_initial_metadata(((ACCEPTED, "1"),))
            sources = await self._receive(request_iterator, task, folder)
            stream = ResultStream(lambda data: write(chunk=data), lambda file: write(file=file))
            work = Work(task.operation, sources, folder, lambda progress: write(progress=progress), stream)
            await write(summary=await self.executor.run(work))

    async def _receive(
        self, requests: inputs.Requests, task: encoder_pb2.Task, folder: TaskFolder
    ) -> dict[str, Source]:
        try:
            return await inputs.receive(requests, task.inputs, folder.path, self.executor.settings.max_input_bytes)
        except ServiceError:
            await inputs.discard(requests)
            raise

    async def GetCapabilities(
        self, request: encoder_pb2.GetCapabilitiesRequest, context: Context
    ) -> encoder_pb2.GetCapabilitiesResponse:
        slots, limits, capabilities = self.executor.slots, self.executor.settings, self.executor.capabilities
        return encoder_pb2.GetCapabilitiesResponse(
            slots=slots.offered,
            busy=slots.busy,
            operations=list(OPERATIONS),
            codecs=_codecs(capabilities, working=True),
            unusable_codecs=_codecs(capabilities, working=False),
            cards=[
                encoder_pb2.Card(name=card.name, formats=list(card.formats), fault=card.fault, sessions=card.sessions)
                for card in capabilities.cards
            ],
            version=VERSION,
            ffmpeg_version=capabilities.ffmpeg_version,
            max_input_bytes=limits.max_input_bytes,
            max_duration_seconds=limits.max_duration_seconds,
            max_task_seconds=limits.max_task_seconds,
            sandbox=capabilities.ffmpeg.sandbox.name,
            driver=driver.versions(),
        )


def _codecs(capabilities: Capabilities, *, working: bool) -> list[encoder_pb2.Codec]:
    return [
        encoder_pb2.Codec(name=state.codec.name, format=state.codec.format, fault=state.fault)
        for state in capabilities.codecs
        if working is not bool(state.fault)
    ]


@contextlib.asynccontextmanager
async def serve(settings: EncoderSettings, idle: IdleMonitor) -> AsyncIterator[None]:
    """Serve until the block is left, and then drain. Raises ConfigError."""
    credentials = settings.identity.server_credentials(require_client=True)
    async with open_executor(settings) as executor:
        service = Service(
            interceptors=[
                error_boundary(settings.max_task_seconds),
                access_control(settings.allowed_ips, settings.session_token.get_secret_value()),
                idle.interceptor(),
            ],
            max_concurrent_calls=settings.batch_size + SPARE_CALLS,
            max_call_seconds=settings.max_task_seconds,
        )
        encoder_pb2_grpc.add_EncoderServiceServicer_to_server(EncoderServicer(executor), service.server)
        service.reflect([NAME])
        port = service.listen(f"{settings.host}:{settings.port}", credentials)
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
            yield
        finally:
            executor.slots.close()
            log.info("draining", busy=executor.slots.busy, seconds=settings.drain_seconds)
            await service.drain(settings.drain_seconds)

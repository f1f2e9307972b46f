"""The encoder put together: the only place that constructs and wires."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from encoder import capabilities
from encoder.config import EncoderSettings
from encoder.fonts import Library
from encoder.gate import gate
from encoder.runner import Runner
from encoder.service import EncoderServicer, Limits
from encoder.slots import Slots
from encoder.workspace import Workspace
from rpc.interceptors import boundary
from rpc.server import Service

log = structlog.get_logger("encoder")

NAME = encoder_pb2.DESCRIPTOR.services_by_name["EncoderService"].full_name
# Calls beside the tasks: capabilities, health, reflection, and tasks that are to be refused.
SPARE_CALLS = 64


@dataclass(frozen=True)
class Ports:
    """The ports that the encoder got."""

    grpc: int
    health: int


@contextlib.asynccontextmanager
async def serving(settings: EncoderSettings) -> AsyncIterator[Ports]:
    """An encoder that serves until the block is left, and then drains. Raises ConfigError."""
    credentials = settings.identity.server_credentials(require_client=True)
    workspace = Workspace(settings.work_dir, settings.output_dir)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(workspace.opened())
        found = await stack.enter_async_context(capabilities.found(settings))
        candidates = found.candidates(settings.codec)
        slots = Slots(settings.batch_size)
        service = Service(
            interceptors=[
                boundary(settings.max_task_seconds),
                gate(settings.allowed_ips, settings.session_token.get_secret_value()),
            ],
            max_concurrent_calls=settings.batch_size + SPARE_CALLS,
        )
        limits = Limits(settings.max_input_bytes, settings.max_duration_seconds, settings.max_task_seconds)
        library = Library(settings.fonts_dir)
        runner = Runner(found.ffmpeg, candidates, library, settings.max_duration_seconds)
        servicer = EncoderServicer(runner, workspace, slots, limits, found)
        encoder_pb2_grpc.add_EncoderServiceServicer_to_server(servicer, service.server)
        service.reflect([NAME])
        ports = Ports(
            service.listen(f"{settings.host}:{settings.port}", credentials),
            service.listen_for_probes(f"{settings.host}:{settings.health_port}"),
        )
        await service.start()
        log.info(
            "serving",
            port=ports.grpc,
            health_port=ports.health,
            codec=candidates[0].codec.name,
            codec_reason=candidates[0].reason,
            slots=slots.total,
            sandbox=found.ffmpeg.sandbox.name,
        )
        try:
            yield ports
        finally:
            slots.close()
            log.info("draining", busy=slots.busy, seconds=settings.drain_seconds)
            await service.drain(settings.drain_seconds)

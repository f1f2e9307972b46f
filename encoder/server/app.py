"""The gRPC server of the encoder, wired together."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from encoder.config import EncoderSettings
from encoder.server.interceptors import IdleMonitor, access_control
from encoder.server.service import EncoderServicer
from encoder.tasks.executor import open_executor
from servicekit.interceptors import error_boundary
from servicekit.server import Service

log = structlog.get_logger("encoder")

NAME = encoder_pb2.DESCRIPTOR.services_by_name["EncoderService"].full_name
# Calls beside the tasks: capabilities, health, reflection, and tasks that are to be refused.
SPARE_CALLS = 64


@dataclass(frozen=True)
class Ports:
    """The ports that the encoder listens on."""

    grpc: int
    health: int


@contextlib.asynccontextmanager
async def serve(settings: EncoderSettings, idle: IdleMonitor) -> AsyncIterator[Ports]:
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
        ports = Ports(
            service.listen(f"{settings.host}:{settings.port}", credentials),
            service.listen_for_probes(f"{settings.host}:{settings.health_port}"),
        )
        await service.start()
        log.info(
            "serving",
            port=ports.grpc,
            health_port=ports.health,
            codec=executor.preferred.codec.name,
            codec_reason=executor.preferred.reason,
            slots=executor.slots.total,
            sandbox=executor.capabilities.ffmpeg.sandbox.name,
        )
        try:
            yield ports
        finally:
            executor.slots.close()
            log.info("draining", busy=executor.slots.busy, seconds=settings.drain_seconds)
            await service.drain(settings.drain_seconds)

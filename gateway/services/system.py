"""SystemService."""

import time
from collections.abc import Sequence

import structlog

from apigpu.v1 import system_pb2, system_pb2_grpc
from gateway.config import GatewaySettings
from gateway.fleet.providers.runpod.encoder import RunpodEncoder
from gateway.jobs.manager import JobManager
from gateway.services.presenters import timestamp
from gateway.version import VERSION
from gateway.workers.base import EncoderBusy
from gateway.workers.pool import Pool
from servicekit.errors import ServiceError
from servicekit.interceptors import Context

log = structlog.get_logger("gateway")

NAME = "api-gpu"
RUNPOD = "RunPod Serverless"
NOT_CONFIGURED = "not configured: set RUNPOD_API_KEY and RUNPOD_ENDPOINT_ID"


class SystemService(system_pb2_grpc.SystemServiceServicer):
    """Serves apigpu.v1.SystemService."""

    def __init__(
        self,
        settings: GatewaySettings,
        pool: Pool,
        jobs: JobManager,
        endpoints: Sequence[str],
        runpod: RunpodEncoder | None = None,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._jobs = jobs
        self._endpoints = endpoints
        self._runpod = runpod
        self._started = time.monotonic()

    async def GetInfo(self, request: system_pb2.GetInfoRequest, context: Context) -> system_pb2.GetInfoResponse:
        """See system.proto."""
        return system_pb2.GetInfoResponse(name=NAME, version=VERSION, endpoints=self._endpoints)

    async def GetHealth(self, request: system_pb2.GetHealthRequest, context: Context) -> system_pb2.GetHealthResponse:
        """See system.proto."""
        return system_pb2.GetHealthResponse(
            status="draining" if self._jobs.is_draining else "healthy",
            service=NAME,
            timestamp=timestamp(time.time()),
            uptime=round(time.monotonic() - self._started, 3),
            runpod=system_pb2.RunpodState(configured=self._runpod is not None),
            encoders=system_pb2.EncoderState(ready=self._pool.ready, slots=self._pool.slots),
        )

    async def GetRunpodHealth(
        self, request: system_pb2.GetRunpodHealthRequest, context: Context
    ) -> system_pb2.GetRunpodHealthResponse:
        """See system.proto."""
        fault = NOT_CONFIGURED
        if self._runpod is not None:
            try:
                await self._runpod.ask()
            except EncoderBusy as error:
                fault = error.message
            else:
                return system_pb2.GetRunpodHealthResponse(
                    status="healthy", endpoint=RUNPOD, timestamp=timestamp(time.time())
                )
        await context.send_initial_metadata((("x-http-code", "503"),))
        return system_pb2.GetRunpodHealthResponse(status="unhealthy", timestamp=timestamp(time.time()), error=fault)

    async def GetRunpodConfig(
        self, request: system_pb2.GetRunpodConfigRequest, context: Context
    ) -> system_pb2.GetRunpodConfigResponse:
        """See system.proto."""
        settings = self._settings
        idle_seconds, max_seconds = settings.runpod_idle_timeout, settings.runpod_max_timeout
        if self._runpod is not None:
            try:
                told = await self._runpod.config()
            except ServiceError as error:
                log.warning("RunPod does not tell of the endpoint; the settings are shown", error=error.message)
            else:
                idle_seconds, max_seconds = told.idle_seconds, told.max_seconds
        return system_pb2.GetRunpodConfigResponse(
            endpoint_id=settings.runpod_endpoint_id, idle_timeout=idle_seconds, max_timeout=max_seconds
        )

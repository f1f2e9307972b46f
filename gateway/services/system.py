"""SystemService."""

import time
from collections.abc import Sequence

import structlog

from apigpu.v1 import system_pb2, system_pb2_grpc
from gateway.fleet.providers.base import EndpointConfig, ServerlessProvider
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
        pool: Pool,
        jobs: JobManager,
        endpoints: Sequence[str],
        runpod_config: EndpointConfig,
        runpod: ServerlessProvider | None = None,
    ) -> None:
        """`runpod_config` is the endpoint by the settings: shown where RunPod does not tell how it is set up."""
        self._pool = pool
        self._jobs = jobs
        self._endpoints = endpoints
        self._runpod_config = runpod_config
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
                await self._runpod.endpoint.capabilities()
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
        config = self._runpod_config
        if self._runpod is not None:
            try:
                config = await self._runpod.endpoint_config()
            except ServiceError as error:
                log.warning("cannot read the endpoint's configuration; showing the settings", error=error.message)
        return system_pb2.GetRunpodConfigResponse(
            endpoint_id=config.endpoint_id, idle_timeout=config.idle_seconds, max_timeout=config.max_seconds
        )

"""The system service: name and version, health, and the RunPod endpoint."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from apigpu.v1 import system_pb2 as pb2
from apigpu.v1 import system_pb2_grpc
from gateway.fleet.providers.base import EndpointConfig, ServerlessProvider, StockAwareProvider
from gateway.jobs.manager import JobManager
from gateway.services.times import timestamp
from gateway.version import VERSION
from gateway.workers.base import EncoderBusy
from gateway.workers.pool import Pool
from servicekit.errors import ServiceError
from servicekit.interceptors import Context

log = structlog.get_logger("gateway.services")

NAME = "api-gpu"
RUNPOD = "RunPod Serverless"
NOT_CONFIGURED = "not configured: set RUNPOD_API_KEY and RUNPOD_ENDPOINT_ID"


@dataclass(eq=False)
class SystemService(system_pb2_grpc.SystemServiceServicer):
    """Serves apigpu.v1.SystemService; `runpod_config` is the endpoint by the settings, for when RunPod is silent."""

    pool: Pool
    jobs: JobManager
    endpoints: Sequence[str]
    runpod_config: EndpointConfig
    runpod: ServerlessProvider | None = None
    # Returns what is wrong with the store or its disk; "" while nothing is.
    problem: Callable[[], str] = lambda: ""
    _started: float = field(default_factory=time.monotonic)

    async def GetInfo(self, request: pb2.GetInfoRequest, context: Context) -> pb2.GetInfoResponse:
        return pb2.GetInfoResponse(name=NAME, version=VERSION, endpoints=self.endpoints)

    async def GetHealth(self, request: pb2.GetHealthRequest, context: Context) -> pb2.GetHealthResponse:
        problem = self.problem()
        if problem:
            await context.send_initial_metadata((("x-http-code", "503"),))
        return pb2.GetHealthResponse(
            status="draining" if self.jobs.is_draining else "unhealthy" if problem else "healthy",
            error=problem or None,
            service=NAME,
            timestamp=timestamp(time.time()),
            uptime=round(time.monotonic() - self._started, 3),
            runpod=pb2.RunpodState(configured=self.runpod is not None),
            encoders=pb2.EncoderState(ready=self.pool.ready, slots=self.pool.slots),
        )

    async def GetRunpodHealth(
        self, request: pb2.GetRunpodHealthRequest, context: Context
    ) -> pb2.GetRunpodHealthResponse:
        now, cause = timestamp(time.time()), NOT_CONFIGURED
        if self.runpod is not None:
            try:
                await self.runpod.endpoint.capabilities()
            except EncoderBusy as error:
                cause = error.message
            else:
                notice = await self.runpod.notice() or None if isinstance(self.runpod, StockAwareProvider) else None
                return pb2.GetRunpodHealthResponse(status="healthy", endpoint=RUNPOD, timestamp=now, notice=notice)
        await context.send_initial_metadata((("x-http-code", "503"),))
        return pb2.GetRunpodHealthResponse(status="unhealthy", timestamp=now, error=cause)

    async def GetRunpodConfig(
        self, request: pb2.GetRunpodConfigRequest, context: Context
    ) -> pb2.GetRunpodConfigResponse:
        config = self.runpod_config
        if self.runpod is not None:
            try:
                config = await self.runpod.endpoint_config()
            except ServiceError as error:
                log.warning("cannot read the endpoint's configuration; showing the settings", error=error.message)
        return pb2.GetRunpodConfigResponse(
            endpoint_id=config.endpoint_id, idle_timeout=config.idle_seconds, max_timeout=config.max_seconds
        )

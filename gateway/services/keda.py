"""KEDA external scaler: the number of queued and running tasks, by which Kubernetes scales encoders, down to none.

It is served in plaintext and without a key beside the health probes, as KEDA presents neither: it publishes two numbers
and changes nothing. Access is limited by the NetworkPolicy.
"""

from collections.abc import AsyncIterator

from externalscaler import externalscaler_pb2, externalscaler_pb2_grpc
from gateway.jobs.manager import JobManager
from servicekit.errors import InvalidArgument
from servicekit.interceptors import Context

METRIC = "tasks"
TASKS_PER_ENCODER = "tasksPerEncoder"
# The default of an encoder's BATCH_SIZE.
DEFAULT_TASKS_PER_ENCODER = 3


class KedaScaler(externalscaler_pb2_grpc.ExternalScalerServicer):
    """Serves externalscaler.ExternalScaler."""

    def __init__(self, jobs: JobManager) -> None:
        self._jobs = jobs

    async def IsActive(
        self, request: externalscaler_pb2.ScaledObjectRef, context: Context
    ) -> externalscaler_pb2.IsActiveResponse:
        """Return whether there is any task."""
        return externalscaler_pb2.IsActiveResponse(result=self._tasks > 0)

    async def StreamIsActive(
        self, request: externalscaler_pb2.ScaledObjectRef, context: Context
    ) -> AsyncIterator[externalscaler_pb2.IsActiveResponse]:
        """Yield whether there is any task, now and at every change, until the gateway shuts down."""
        last: bool | None = None
        with self._jobs.index.listening("", queue=True) as moved:
            while not self._jobs.is_closing:
                if (is_active := self._tasks > 0) is not last:
                    yield externalscaler_pb2.IsActiveResponse(result=is_active)
                    last = is_active
                await self._jobs.changed(moved)

    async def GetMetricSpec(
        self, request: externalscaler_pb2.ScaledObjectRef, context: Context
    ) -> externalscaler_pb2.GetMetricSpecResponse:
        """Return the target of tasks per encoder. Raise InvalidArgument for a bad value in the trigger's metadata."""
        size = _tasks_per_encoder(request)
        spec = externalscaler_pb2.MetricSpec(metricName=METRIC, targetSize=size, targetSizeFloat=size)
        return externalscaler_pb2.GetMetricSpecResponse(metricSpecs=[spec])

    async def GetMetrics(
        self, request: externalscaler_pb2.GetMetricsRequest, context: Context
    ) -> externalscaler_pb2.GetMetricsResponse:
        """Return the number of tasks."""
        tasks = self._tasks
        value = externalscaler_pb2.MetricValue(metricName=METRIC, metricValue=tasks, metricValueFloat=tasks)
        return externalscaler_pb2.GetMetricsResponse(metricValues=[value])

    @property
    def _tasks(self) -> int:
        return self._jobs.index.tasks_waiting + self._jobs.index.tasks_running


def _tasks_per_encoder(target: externalscaler_pb2.ScaledObjectRef) -> int:
    text = target.scalerMetadata.get(TASKS_PER_ENCODER, str(DEFAULT_TASKS_PER_ENCODER))
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise InvalidArgument(
            f"{TASKS_PER_ENCODER} is {text!r} in the trigger's metadata; give the encoders' BATCH_SIZE, 1 or more.",
            fields={TASKS_PER_ENCODER: "range"},
        )
    return int(text)

"""KEDA external scaler: the number of queued and running tasks, by which Kubernetes scales encoders, down to none.

It is served in plaintext and without a key beside the health probes, as KEDA presents neither: it publishes two numbers
and changes nothing. Access is limited by the NetworkPolicy.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from externalscaler import externalscaler_pb2 as pb2
from externalscaler import externalscaler_pb2_grpc
from gateway.jobs.manager import JobManager
from servicekit.errors import InvalidArgument
from servicekit.interceptors import Context

METRIC = "tasks"
TASKS_PER_ENCODER = "tasksPerEncoder"
# The default of an encoder's BATCH_SIZE.
DEFAULT_TASKS_PER_ENCODER = 3


@dataclass(eq=False)
class KedaScaler(externalscaler_pb2_grpc.ExternalScalerServicer):
    """Serves externalscaler.ExternalScaler."""

    jobs: JobManager

    async def IsActive(self, request: pb2.ScaledObjectRef, context: Context) -> pb2.IsActiveResponse:
        return pb2.IsActiveResponse(result=self._tasks > 0)

    async def StreamIsActive(
        self, request: pb2.ScaledObjectRef, context: Context
    ) -> AsyncIterator[pb2.IsActiveResponse]:
        """Yield whether there is any task, now and at every change, until the gateway shuts down."""
        last: bool | None = None
        with self.jobs.store.index.followers.following_queue() as moved:
            while not self.jobs.closing.is_set():
                if (is_active := self._tasks > 0) is not last:
                    yield pb2.IsActiveResponse(result=is_active)
                    last = is_active
                await self.jobs.changed(moved)

    async def GetMetricSpec(self, request: pb2.ScaledObjectRef, context: Context) -> pb2.GetMetricSpecResponse:
        """Return the target of tasks per encoder. Raise InvalidArgument for a bad value in the trigger's metadata."""
        size = _tasks_per_encoder(request)
        spec = pb2.MetricSpec(metricName=METRIC, targetSize=size, targetSizeFloat=size)
        return pb2.GetMetricSpecResponse(metricSpecs=[spec])

    async def GetMetrics(self, request: pb2.GetMetricsRequest, context: Context) -> pb2.GetMetricsResponse:
        tasks = self._tasks
        value = pb2.MetricValue(metricName=METRIC, metricValue=tasks, metricValueFloat=tasks)
        return pb2.GetMetricsResponse(metricValues=[value])

    @property
    def _tasks(self) -> int:
        index = self.jobs.store.index
        return index.tasks_waiting - index.tasks_held_back + index.tasks_running


def _tasks_per_encoder(target: pb2.ScaledObjectRef) -> int:
    text = target.scalerMetadata.get(TASKS_PER_ENCODER, str(DEFAULT_TASKS_PER_ENCODER))
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise InvalidArgument(
            f"{TASKS_PER_ENCODER} is {text!r} in the trigger's metadata; give the encoders' BATCH_SIZE, 1 or more.",
            fields={TASKS_PER_ENCODER: "range"},
        )
    return int(text)

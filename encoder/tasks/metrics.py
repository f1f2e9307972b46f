"""What an encoder tells Prometheus: its tasks and how they ended, its slots."""

import asyncio
import contextlib
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

from apigpu.encoder.v1 import encoder_pb2
from servicekit.errors import ServiceError
from servicekit.metrics import SECONDS, codec_label

TASKS = Counter("api_gpu_encoder_tasks", "Tasks that ended, by the code of their status.", ("operation", "code"))
TASK_SECONDS = Histogram(
    "api_gpu_encoder_task_seconds",
    "Seconds of tasks from their inputs to their result.",
    ("operation", "codec"),
    buckets=SECONDS,
)
FRAMES = Counter("api_gpu_encoder_frames", "Frames of results.", ("operation", "codec"))
TRANSFER_BYTES = Counter("api_gpu_encoder_transfer_bytes", "Bytes of inputs (in) and results (out).", ("direction",))
count_received, count_sent = TRANSFER_BYTES.labels("in").inc, TRANSFER_BYTES.labels("out").inc
SLOTS = Gauge("api_gpu_encoder_own_slots", "Slots, by what becomes of them.", ("state",))
# A part of a larger operation, as gateways send them.
PART = "part"


@contextlib.contextmanager
def counted(task: encoder_pb2.Task) -> Iterator[None]:
    """Count a task by how the block ends."""
    code = "OK"
    try:
        yield
    except ServiceError as error:
        code = error.code.name
        raise
    except asyncio.CancelledError:
        code = "CANCELLED"
        raise
    except Exception:
        code = "INTERNAL"
        raise
    finally:
        TASKS.labels(operation_label(task), code).inc()


def count_result(task: encoder_pb2.Task, summary: encoder_pb2.Summary) -> None:
    """Count what a task made."""
    labels = (operation_label(task), codec_label(summary.codec))
    TASK_SECONDS.labels(*labels).observe(summary.encode_seconds)
    FRAMES.labels(*labels).inc(summary.frames)


def operation_label(task: encoder_pb2.Task) -> str:
    """Return the name of a task's operation."""
    return task.operation.WhichOneof("kind") or PART

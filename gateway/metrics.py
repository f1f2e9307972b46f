"""What the gateway counts for Prometheus as it happens: attempts, results, waits. docs/guides/monitoring.md tells of
each metric. Labels come from a few known values, never from callers."""

from collections.abc import Callable

from prometheus_client import Counter, Histogram

from apigpu.encoder.v1 import encoder_pb2
from servicekit.metrics import SECONDS, codec_label

ATTEMPTS = Counter(
    "api_gpu_task_attempts", "Attempts at tasks that ended, by the job's operation and how.", ("operation", "outcome")
)
ENCODE_SECONDS = Histogram(
    "api_gpu_task_encode_seconds",
    "Seconds of tasks at the encoder, from their inputs to their result.",
    ("operation", "codec"),
    buckets=SECONDS,
)
ENCODER_ATTEMPTS = Counter(
    "api_gpu_encoder_attempts", "Attempts at tasks that ended, by the encoder and how.", ("encoder", "outcome")
)
TRANSFER_BYTES = Counter(
    "api_gpu_transfer_bytes",
    "Bytes of files that came in and went out, by who was at the other end.",
    ("direction", "peer"),
)
# What `direction` and `peer` may be.
IN, OUT = "in", "out"
CLIENT, ENCODER, SOURCE, OUTPUT = "client", "encoder", "source", "output"
# An encoder that is no more: each of those that are rented has a name of its own.
GONE = "gone"
FRAMES = Counter("api_gpu_task_frames", "Frames of results.", ("operation", "codec"))
RESULT_BYTES = Counter("api_gpu_task_result_bytes", "Bytes of results.", ("operation",))
WAIT_SECONDS = Histogram(
    "api_gpu_job_wait_seconds",
    "Seconds from the submit of a job to the start of its first task.",
    ("operation",),
    buckets=SECONDS,
)


def transferred(direction: str, peer: str) -> Callable[[float], None]:
    """Return what counts bytes of files that go this way."""
    return TRANSFER_BYTES.labels(direction, peer).inc


def forget_encoder(name: str) -> None:
    """Tell no more of an encoder that is no more."""
    ENCODER_ATTEMPTS.remove_by_labels({"encoder": name})


def count_result(operation: str, summary: encoder_pb2.Summary) -> None:
    """Count the result of a task of a job."""
    labels = (operation, codec_label(summary.codec))
    ENCODE_SECONDS.labels(*labels).observe(summary.encode_seconds)
    FRAMES.labels(*labels).inc(summary.frames)
    RESULT_BYTES.labels(operation).inc(summary.size_bytes)

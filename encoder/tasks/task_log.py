"""What the log tells of a task: its start and its end, between which all lines say that they are about it."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import structlog

from apigpu.encoder.v1 import encoder_pb2
from encoder.ffmpeg.errors import log_end
from encoder.media.info import Source
from encoder.tasks.metrics import operation_label
from servicekit import log_context
from servicekit.errors import ServiceError

log = structlog.get_logger("encoder")

MAX_MESSAGES = 100


class TaskFacts:
    """What is known of a task at its end."""

    def __init__(self) -> None:
        self.by_name: dict[str, Any] = {}
        self._messages: deque[str] = deque(maxlen=MAX_MESSAGES)

    def note_plan(self, seconds: float, cpu_seconds: float) -> None:
        """Note how long the plan took, and the processor time of the process that made it."""
        self.by_name |= {"plan_seconds": round(seconds, 3), "plan_cpu_seconds": cpu_seconds}

    def note_messages(self, messages: Iterable[str]) -> None:
        """Note what a run of FFmpeg said."""
        self._messages.extend(messages)

    @property
    def ffmpeg_log(self) -> str:
        """The end of what FFmpeg said in all runs, for the caller; "" where it said nothing."""
        return log_end(self._messages)

    def note_inputs(self, sources: Iterable[Source]) -> None:
        """Note how large the inputs are, each file counted once."""
        paths = {source.path for source in sources}
        self.by_name["input_bytes"] = sum(path.stat().st_size for path in paths)

    def note_result(self, summary: encoder_pb2.Summary) -> None:
        """Note what was made."""
        self.by_name |= {
            "codec": summary.codec,
            "frames": summary.frames,
            "bytes": summary.size_bytes + sum(file.size_bytes for file in summary.files),
            "encode_seconds": round(summary.encode_seconds, 3),
        }


@contextlib.contextmanager
def logged(task: encoder_pb2.Task) -> Iterator[TaskFacts]:
    """Log the start of a task, and how the block ends; further lines of the call around it say what they are about."""
    job = task.id.rpartition(".")[0] if task.attempt else ""
    log_context.learn(job=job, task=task.id, attempt=task.attempt, request_id=task.request_id)
    facts, started = TaskFacts(), time.monotonic()
    event, cause = "task completed", {}
    log.info("task started", operation=operation_label(task), inputs=len(task.inputs), plan_only=task.plan_only)
    try:
        yield facts
    except ServiceError as error:
        event, cause = "task failed", {"code": error.code.name, "error": error.message}
        raise
    except asyncio.CancelledError:
        event = "task cancelled"
        raise
    except BaseException:
        event = "task failed"
        raise
    finally:
        log.info(event, **facts.by_name, **cause, seconds=round(time.monotonic() - started, 3))

"""What encoders tried of a job, and what FFmpeg said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from api_gpu.requests import from_message, to_datetime
from apigpu.v1 import jobs_pb2


@dataclass(frozen=True)
class JobAttempt:
    """One attempt at a task of a job, by one encoder. `outcome` is "RUNNING", "COMPLETED", "FAILED", "INTERRUPTED"
    (the task was tried again), "CANCELLED", "TIMED_OUT" or "OVERTAKEN"; `reason` and `message` say why it ended without
    a result. `item` is what the task is, where the job has several. Times are UTC; `encode_seconds` is None where that
    is not known."""

    task: int
    item: str
    encoder: str
    codec: str
    outcome: str
    reason: str
    message: str
    started: datetime | None
    ended: datetime | None
    encode_seconds: float | None

    @classmethod
    def from_message(cls, message: jobs_pb2.JobAttempt) -> Self:
        """Return the attempt that the gateway describes."""
        return from_message(
            cls,
            message,
            outcome=jobs_pb2.JobAttempt.Outcome.Name(message.outcome),
            started=to_datetime(message.start_time),
            ended=to_datetime(message.end_time),
            encode_seconds=message.encode_seconds if message.HasField("encode_seconds") else None,
        )


@dataclass(frozen=True)
class JobLog:
    """The end of what FFmpeg said in an attempt at a task: a message a line."""

    task: int
    item: str
    encoder: str
    time: datetime | None
    text: str

    @classmethod
    def from_message(cls, message: jobs_pb2.JobLog) -> Self:
        """Return the log that the gateway describes."""
        return from_message(cls, message, time=to_datetime(message.time))

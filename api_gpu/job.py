"""A job as the client sees it: a snapshot, and the ways on from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from api_gpu.assets import to_datetime
from api_gpu.options import Status
from apigpu.v1 import jobs_pb2, video_pb2
from servicekit.errors import Cancelled, DeadlineExceeded, Internal, ServiceError, from_code


@dataclass(frozen=True)
class Clip:
    """The video of one image of a batch: either `asset` and `video_url`, or `error`; `warnings` tell what about it is
    not as was asked; `codec` made it, for `codec_reason`."""

    id: str
    asset: str
    video_url: str
    error: ServiceError | None
    warnings: tuple[str, ...] = ()
    codec: str = ""
    codec_reason: str = ""

    @classmethod
    def from_message(cls, message: video_pb2.Video) -> Clip:
        """The clip that the gateway describes."""
        error = failure(message.error) if message.HasField("error") else None
        warnings = tuple(warning.message for warning in message.warnings)
        return cls(
            id=message.id,
            asset=message.asset,
            video_url=message.video_url,
            error=error,
            warnings=warnings,
            codec=message.encoding.codec,
            codec_reason=message.encoding.reason,
        )


@dataclass(frozen=True)
class Queued:
    """The job waits; 1 is next. `phase` is "COLD_START" while an encoder is on its way, else "WAITING_FOR_WORKER"."""

    place: int
    phase: str = "WAITING_FOR_WORKER"


@dataclass(frozen=True)
class Progress:
    """The job runs. `frames_total` is 0 and `seconds_left` None while not known; `total` counts tasks. `phase` is that
    of the task that is furthest: "ENCODING", or what it waits for, as in Queued."""

    frames_done: int
    frames_total: int
    fps: float
    seconds_left: float | None
    processed: int
    total: int
    phase: str = "ENCODING"
    cost_usd: float | None = None


@dataclass(frozen=True)
class Finished:
    """The job ended, well or not: always the last event."""

    job: Job


Event = Queued | Progress | Clip | Finished


class Source(Protocol):
    """Where a job's news come from."""

    def get(self, job_id: str) -> Job:
        """Read a job."""

    def cancel(self, job_id: str) -> None:
        """Cancel a job."""

    def watch(self, job_id: str) -> Iterator[Event]:
        """Follow a job."""


@dataclass(frozen=True)
class Job:
    """A job as it stood when it was read. `asset` and `video_url` are those of the result, "" before the end and for a
    batch, which has `clips`, and so are `warnings`, `codec` and `codec_reason`; `error` says why it did not complete.
    `cost_usd` is what it cost so far, None where nothing was rented for it. Times are UTC."""

    id: str
    status: Status
    operation: str
    queued_milliseconds: int
    encoding_milliseconds: int
    processed: int
    total: int
    asset: str
    video_url: str
    clips: tuple[Clip, ...]
    error: ServiceError | None
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    warnings: tuple[str, ...]
    codec: str
    codec_reason: str
    cost_usd: float | None
    source: Source = field(repr=False, compare=False)

    @classmethod
    def from_message(cls, message: jobs_pb2.Job, source: Source) -> Job:
        """The job that the gateway describes."""
        return cls(
            id=message.id,
            status=Status(jobs_pb2.Job.Status.Name(message.status)),
            operation=message.operation,
            queued_milliseconds=message.delay_time,
            encoding_milliseconds=message.execution_time,
            processed=message.processed,
            total=message.total,
            asset=message.output.asset,
            video_url=message.output.video_url,
            clips=tuple(Clip.from_message(video) for video in message.output.videos),
            error=failure(message.error) if message.HasField("error") else None,
            created=to_datetime(message.create_time),
            started=to_datetime(message.start_time),
            ended=to_datetime(message.end_time),
            warnings=tuple(warning.message for warning in message.output.warnings),
            codec=message.output.encoding.codec,
            codec_reason=message.output.encoding.reason,
            cost_usd=message.cost.usd if message.HasField("cost") else None,
            source=source,
        )

    def refresh(self) -> Job:
        """The job as it stands now."""
        return self.source.get(self.id)

    def cancel(self) -> None:
        """Cancel it. Raises FailedPrecondition when it has ended."""
        self.source.cancel(self.id)

    def watch(self) -> Iterator[Event]:
        """Its events from now to Finished. Survives a restart of the gateway; leaving the loop leaves the job alone."""
        return self.source.watch(self.id)

    def wait(self) -> Job:
        """The completed job. Raises what made it fail, Cancelled or DeadlineExceeded when it did not complete."""
        job = self
        for event in self.watch():
            if isinstance(event, Finished):
                job = event.job
        return job.checked()

    def checked(self) -> Job:
        """Itself when it completed. Raises like `wait` when it ended otherwise."""
        if self.status is Status.COMPLETED:
            return self
        raise self.error or ENDINGS.get(self.status, Internal)(f"Job {self.id} is {self.status} and says no more.")


ENDINGS: dict[Status, type[ServiceError]] = {
    Status.CANCELLED: Cancelled,
    Status.TIMED_OUT: DeadlineExceeded,
}


def failure(message: video_pb2.Failure) -> ServiceError:
    """The error that a job, or one image of it, carries."""
    return from_code(message.code, message.message)

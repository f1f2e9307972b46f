"""Jobs and their events, and the calls of JobService: submit, read, list, cancel, follow."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from api_gpu.connection import Connection, Retries
from api_gpu.destinations import ResultDelivery
from api_gpu.outcomes import (
    Clip,
    JobInput,
    Preview,
    Progress,
    Queued,
    ResultFile,
    SceneSpan,
    delivery,
    failure,
    preview_of,
)
from api_gpu.requests import from_message, to_datetime
from apigpu.options import Status
from apigpu.v1 import jobs_pb2, probe_pb2, quote_pb2, video_pb2
from apigpu.v1.jobs_pb2_grpc import JobServiceStub
from servicekit.errors import Cancelled, DeadlineExceeded, Internal, ServiceError, Unavailable

PAGE_JOBS = 100


@dataclass(frozen=True)
class Finished:
    """The job ended, well or not: always the last event."""

    job: Job


Event = Queued | Progress | Clip | Finished


@dataclass(frozen=True)
class Job:
    """A job as it stood when it was read. `asset` and `video_url` are those of the result, "" before the end and for a
    batch, which has `clips`, and so are `warnings`, `codec`, `codec_reason`, `frames_copied` and `whole_reason`;
    `error` says why it did not complete.
    A result that is an image has `image_url` in place of `video_url`. `files` are all results, the first one first;
    there are none where a video is all. `duration` (seconds, else None) and `scenes` are those of a story, and
    `media` is what a probe tells of a file: apigpu.v1.MediaReport, whose `HasField` says what is
    known. `quote` is what a dry run tells of a job that there is not: apigpu.v1.Quote.
    `cost_usd` is what it cost so far, None where nothing was rented for it; `metadata` what was noted on it,
    `deliveries` where its results are put, `preview` where its film plays, where that was asked for. `inputs` have the
    names of its files; `request` is what was asked for, without secrets: apigpu.v1.JobRequest. `queued` and `progress`
    say how far one is that has not ended. Times are UTC."""

    id: str
    status: Status
    operation: str
    queued_milliseconds: int
    encoding_milliseconds: int
    processed: int
    total: int
    asset: str
    video_url: str
    image_url: str
    files: tuple[ResultFile, ...]
    clips: tuple[Clip, ...]
    error: ServiceError | None
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    warnings: tuple[str, ...]
    codec: str
    codec_reason: str
    frames_copied: int
    whole_reason: str
    cost_usd: float | None
    metadata: dict[str, str]
    deliveries: tuple[ResultDelivery, ...]
    duration: float | None
    scenes: tuple[SceneSpan, ...]
    media: probe_pb2.MediaReport | None
    quote: quote_pb2.Quote | None
    preview: Preview | None
    inputs: tuple[JobInput, ...]
    request: jobs_pb2.JobRequest
    queued: Queued | None
    progress: Progress | None
    service: Jobs = field(repr=False, compare=False)

    @classmethod
    def from_message(cls, message: jobs_pb2.Job, service: Jobs) -> Job:
        """Return the job that the gateway describes."""
        output = message.output
        return from_message(
            cls,
            message,
            status=Status(jobs_pb2.Job.Status.Name(message.status)),
            queued_milliseconds=message.delay_time,
            encoding_milliseconds=message.execution_time,
            asset=output.asset,
            video_url=output.video_url,
            image_url=output.image_url,
            files=tuple(from_message(ResultFile, file) for file in output.files),
            clips=tuple(Clip.from_message(video) for video in output.videos),
            error=failure(message.error) if message.HasField("error") else None,
            created=to_datetime(message.create_time),
            started=to_datetime(message.start_time),
            ended=to_datetime(message.end_time),
            warnings=tuple(warning.message for warning in output.warnings),
            codec=output.encoding.codec,
            codec_reason=output.encoding.reason,
            frames_copied=output.encoding.frames_copied,
            whole_reason=output.encoding.whole_reason,
            cost_usd=message.cost.usd if message.HasField("cost") else None,
            metadata=dict(message.metadata),
            deliveries=tuple(delivery(found) for found in message.deliveries),
            duration=output.duration if output.HasField("duration") else None,
            scenes=tuple(from_message(SceneSpan, span) for span in output.scenes),
            media=output.media if output.HasField("media") else None,
            quote=message.quote if message.HasField("quote") else None,
            preview=preview_of(message),
            inputs=tuple(from_message(JobInput, found) for found in message.inputs),
            queued=Queued.from_message(message.queued) if message.HasField("queued") else None,
            progress=Progress.from_message(message.progress) if message.HasField("progress") else None,
            service=service,
        )

    def refresh(self) -> Job:
        """Read the job again."""
        return self.service.get(self.id)

    def cancel(self) -> None:
        """Cancel the job. Raises FailedPrecondition when it has ended."""
        self.service.cancel(self.id)

    def retry(self) -> Job:
        """Queue the job anew, which has ended; return the new one. Raises FailedPrecondition when it has not, and when
        an input is gone."""
        return self.service.retry(self.id)

    def watch(self) -> Iterator[Event]:
        """Yield the events from now to Finished, across restarts of the gateway. Leaving the loop ends no job."""
        return self.service.watch(self.id)

    def wait(self) -> Job:
        """Return the completed job. Raises the error that it failed with, Cancelled, or DeadlineExceeded."""
        job = self
        for event in self.watch():
            if isinstance(event, Finished):
                job = event.job
        return job.checked()

    def checked(self) -> Job:
        """Return the job when it completed. Raises like `wait` when it ended otherwise."""
        if self.status is Status.COMPLETED:
            return self
        raise self.error or ENDINGS.get(self.status, Internal)(f"Job {self.id} is {self.status} and says no more.")


ENDINGS: dict[Status, type[ServiceError]] = {
    Status.CANCELLED: Cancelled,
    Status.TIMED_OUT: DeadlineExceeded,
}


class Jobs:
    """Calls of JobService over one connection. Every method raises ServiceError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = JobServiceStub(connection.channel)

    def submit(
        self,
        operation: video_pb2.Operation,
        idempotency_key: str = "",
        options: jobs_pb2.JobOptions | None = None,
    ) -> Job:
        """Queue an operation; the job is on the gateway's disk when this returns.

        A gateway that goes away meanwhile is asked again, and makes one job all the same. Raises AlreadyExists for an
        `idempotency_key` that came with another operation.
        """
        key = idempotency_key or uuid.uuid4().hex
        request = jobs_pb2.SubmitJobRequest(operation=operation, idempotency_key=key, options=options)
        answer = self._connection.call_until_answered(self._stub.SubmitJob, request)
        return Job.from_message(answer.job, self)

    def get(self, job_id: str) -> Job:
        """Read a job. Raises NotFound."""
        answer = self._connection.call_until_answered(self._stub.GetJob, jobs_pb2.GetJobRequest(id=job_id))
        return Job.from_message(answer.job, self)

    def cancel(self, job_id: str) -> None:
        """Cancel a job. Raises NotFound, and FailedPrecondition when it has ended."""
        self._connection.call(self._stub.CancelJob, jobs_pb2.CancelJobRequest(id=job_id))

    def retry(self, job_id: str, idempotency_key: str = "") -> Job:
        """Queue a job anew that has ended. A gateway that goes away meanwhile is asked again, and makes one job all the
        same."""
        request = jobs_pb2.RetryJobRequest(id=job_id, idempotency_key=idempotency_key or uuid.uuid4().hex)
        return Job.from_message(self._connection.call_until_answered(self._stub.RetryJob, request).job, self)

    def list(self, wanted: jobs_pb2.ListJobsRequest) -> Iterator[Job]:
        """Yield the jobs that are wanted, the newest first; fetched in pages, as they are needed."""
        request = jobs_pb2.ListJobsRequest(page_size=PAGE_JOBS)
        request.MergeFrom(wanted)
        while True:
            answer = self._connection.call_until_answered(self._stub.ListJobs, request)
            yield from (Job.from_message(job, self) for job in answer.jobs)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def watch(self, job_id: str) -> Iterator[Event]:
        """Follow a job to Finished. A broken stream is opened again, for as long as `Retries` allow."""
        retries, events = Retries(self._connection), 0
        while True:
            try:
                for event in self._watch_once(job_id):
                    events += 1
                    retries.got_on(events)
                    yield event
                    if isinstance(event, Finished):
                        return
            except (Unavailable, DeadlineExceeded):
                if not retries.allow():
                    raise

    def _watch_once(self, job_id: str) -> Iterator[Event]:
        with self._connection.errors():
            call = self._stub.WatchJob(jobs_pb2.WatchJobRequest(id=job_id), metadata=self._connection.metadata)
            try:
                for message in call:
                    yield self._event(message)
            finally:
                call.cancel()
        raise Unavailable(f"The gateway ended the watch of job {job_id} before the job ended.", reason="CUT_OFF")

    def _event(self, message: jobs_pb2.WatchJobResponse) -> Event:
        match message.WhichOneof("event"):
            case "queued":
                return Queued.from_message(message.queued)
            case "item":
                return Clip.from_message(message.item)
            case "finished":
                return Finished(Job.from_message(message.finished, self))
            case _:
                return Progress.from_message(message.progress)

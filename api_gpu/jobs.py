"""The gateway's JobService, typed: submit, read, list, cancel, follow."""

import time
from collections.abc import Iterator

from api_gpu.connection import Connection
from api_gpu.job import Clip, Event, Finished, Job, Progress, Queued
from api_gpu.options import Status
from apigpu.v1 import jobs_pb2, video_pb2
from apigpu.v1.jobs_pb2_grpc import JobServiceStub
from servicekit.errors import DeadlineExceeded, Unavailable

PAGE_JOBS = 100
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.5


class Jobs:
    """Jobs over one connection. Every method raises ServiceError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = JobServiceStub(connection.channel)

    def submit(self, operation: video_pb2.Operation) -> Job:
        """Queue an operation; the job is on the gateway's disk when this returns."""
        with self._connection.errors():
            request = jobs_pb2.SubmitJobRequest(operation=operation)
            answer = self._stub.SubmitJob(request, metadata=self._connection.metadata)
        return Job.from_message(answer.job, self)

    def get(self, job_id: str) -> Job:
        """Read a job. Raises NotFound."""
        with self._connection.errors():
            answer = self._stub.GetJob(jobs_pb2.GetJobRequest(id=job_id), metadata=self._connection.metadata)
        return Job.from_message(answer.job, self)

    def cancel(self, job_id: str) -> None:
        """Cancel a job. Raises NotFound, and FailedPrecondition when it has ended."""
        with self._connection.errors():
            self._stub.CancelJob(jobs_pb2.CancelJobRequest(id=job_id), metadata=self._connection.metadata)

    def list(self, status: Status | None = None) -> Iterator[Job]:
        """All jobs, or those that stand at `status`, the newest first; fetched in pages, as they are asked for."""
        wanted = jobs_pb2.Job.Status.Value(status or "STATUS_UNSPECIFIED")
        request = jobs_pb2.ListJobsRequest(status=wanted, page_size=PAGE_JOBS)
        while True:
            with self._connection.errors():
                answer = self._stub.ListJobs(request, metadata=self._connection.metadata)
            yield from (Job.from_message(job, self) for job in answer.jobs)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def watch(self, job_id: str) -> Iterator[Event]:
        """Follow a job to Finished. A broken stream is opened again, until that has failed for PATIENCE_SECONDS."""
        broken_since: float | None = None
        while True:
            try:
                for event in self._events(job_id):
                    broken_since = None
                    yield event
                    if isinstance(event, Finished):
                        return
            except (Unavailable, DeadlineExceeded):
                broken_since = broken_since or time.monotonic()
                if time.monotonic() - broken_since > PATIENCE_SECONDS:
                    raise
                time.sleep(PAUSE_SECONDS)

    def _events(self, job_id: str) -> Iterator[Event]:
        with self._connection.errors():
            call = self._stub.WatchJob(jobs_pb2.WatchJobRequest(id=job_id), metadata=self._connection.metadata)
            try:
                for message in call:
                    yield self._typed(message)
            finally:
                call.cancel()
        raise Unavailable(f"The gateway ended the watch of job {job_id} before the job ended.", reason="CUT_OFF")

    def _typed(self, message: jobs_pb2.WatchJobResponse) -> Event:
        match message.WhichOneof("event"):
            case "queued":
                return Queued(message.queued.place, jobs_pb2.Phase.Name(message.queued.phase))
            case "item":
                return Clip.from_message(message.item)
            case "finished":
                return Finished(Job.from_message(message.finished, self))
            case _:
                return progress(message.progress)


def progress(message: jobs_pb2.Progress) -> Progress:
    """The progress that the gateway tells."""
    return Progress(
        frames_done=message.frames_done,
        frames_total=message.frames_total,
        fps=message.fps,
        seconds_left=message.seconds_left if message.HasField("seconds_left") else None,
        processed=message.processed,
        total=message.total,
        phase=jobs_pb2.Phase.Name(message.phase),
        cost_usd=message.cost_usd if message.HasField("cost_usd") else None,
    )

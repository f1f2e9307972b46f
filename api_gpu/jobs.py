"""Jobs, and the calls of JobService: submit, read, list, cancel, retry, follow."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from api_gpu.attempts import JobLog
from api_gpu.connection import Connection, Retries
from api_gpu.outcomes import Clip, Finished, JobRecord, Progress, Queued, WaitTimeout, event_of
from apigpu.v1 import jobs_pb2, video_pb2
from apigpu.v1.jobs_pb2_grpc import JobServiceStub
from servicekit.errors import DeadlineExceeded, ServiceError, Unavailable

PAGE_JOBS = 100
# A smaller result comes along with the end of a job that is waited for: the most that a gateway sends so.
SMALL_RESULT_BYTES = 64 * 1024


@dataclass(frozen=True)
class Job(JobRecord):
    """A job as it stood when it was read, and what can be done with it."""

    service: Jobs = field(repr=False, compare=False)

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

    def watch(self, timeout: float | None = None) -> Iterator[Event]:
        """Yield the events from now to Finished, across restarts of the gateway, for `timeout` seconds at most. Leaving
        the loop ends no job. Raises WaitTimeout."""
        return self.service.watch(self.id, timeout)

    def wait(self, timeout: float | None = None) -> Job:
        """Return the completed job, after `timeout` seconds at most. Raises the error that it failed with, Cancelled,
        DeadlineExceeded, or WaitTimeout (a TimeoutError), after which it goes on."""
        if self.ended is not None:
            return self.checked()
        job = self
        for event in self.watch(timeout):
            if isinstance(event, Finished):
                job = event.job
        return job.checked()


Event = Queued | Progress | Clip | Finished[Job]


def submission(
    operation: video_pb2.Operation, idempotency_key: str, options: jobs_pb2.JobOptions | None
) -> jobs_pb2.SubmitJobRequest:
    """Return the request for a job, with a key of its own where it has none, so that it may be sent again."""
    key = idempotency_key or uuid.uuid4().hex
    return jobs_pb2.SubmitJobRequest(operation=operation, idempotency_key=key, options=options)


def retrial(job_id: str, idempotency_key: str) -> jobs_pb2.RetryJobRequest:
    """Return the request for a retry, with a key of its own where it has none, so that it may be sent again."""
    return jobs_pb2.RetryJobRequest(id=job_id, idempotency_key=idempotency_key or uuid.uuid4().hex)


def cut_off(job_id: str) -> ServiceError:
    """Return the error of a watch that ended before the job did."""
    return Unavailable(f"The gateway ended the watch of job {job_id} before the job ended.", reason="CUT_OFF")


@dataclass(frozen=True)
class WaitLimit:
    """The time until which a job is waited for, of time.monotonic(); None for ever."""

    job_id: str
    until: float | None

    @classmethod
    def of(cls, job_id: str, timeout: float | None) -> WaitLimit:
        """Return the limit of a wait that begins now."""
        return cls(job_id, None if timeout is None else time.monotonic() + timeout)

    @property
    def seconds_left(self) -> float | None:
        """How long a call may take; None for any time."""
        return None if self.until is None else max(0.0, self.until - time.monotonic())

    def check(self) -> None:
        """Raise WaitTimeout once the time is over."""
        if self.seconds_left == 0.0:
            raise WaitTimeout(f"Job {self.job_id} has not ended in the time that was given; it goes on.")


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
        request = submission(operation, idempotency_key, options)
        return self._job(self._connection.call_until_answered(self._stub.SubmitJob, request).job)

    def get(self, job_id: str) -> Job:
        """Read a job. Raises NotFound."""
        answer = self._connection.call_until_answered(self._stub.GetJob, jobs_pb2.GetJobRequest(id=job_id))
        return self._job(answer.job)

    def cancel(self, job_id: str) -> None:
        """Cancel a job. Raises NotFound, and FailedPrecondition when it has ended."""
        self._connection.call(self._stub.CancelJob, jobs_pb2.CancelJobRequest(id=job_id))

    def retry(self, job_id: str, idempotency_key: str = "") -> Job:
        """Queue a job anew that has ended. A gateway that goes away meanwhile is asked again, and makes one job all the
        same."""
        request = retrial(job_id, idempotency_key)
        return self._job(self._connection.call_until_answered(self._stub.RetryJob, request).job)

    def logs(self, job_id: str) -> tuple[JobLog, ...]:
        """Return what FFmpeg said of a job. Raises NotFound."""
        request = jobs_pb2.GetJobLogRequest(id=job_id)
        answer = self._connection.call_until_answered(self._stub.GetJobLog, request)
        return tuple(JobLog.from_message(found) for found in answer.logs)

    def list(self, wanted: jobs_pb2.ListJobsRequest) -> Iterator[Job]:
        """Yield the jobs that are wanted, the newest first; fetched in pages, as they are needed."""
        request = jobs_pb2.ListJobsRequest(page_size=PAGE_JOBS)
        request.MergeFrom(wanted)
        while True:
            answer = self._connection.call_until_answered(self._stub.ListJobs, request)
            yield from map(self._job, answer.jobs)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def watch(self, job_id: str, timeout: float | None = None) -> Iterator[Event]:
        """Follow a job to Finished. A broken stream is opened again, for as long as `Retries` allow."""
        retries, events, limit = Retries(self._connection), 0, WaitLimit.of(job_id, timeout)
        while True:
            try:
                for event in self._watch_once(job_id, limit.seconds_left):
                    events += 1
                    retries.got_on(events)
                    yield event
                    if isinstance(event, Finished):
                        return
            except (Unavailable, DeadlineExceeded):
                limit.check()
                if not retries.allow():
                    raise

    def _watch_once(self, job_id: str, seconds: float | None) -> Iterator[Event]:
        with self._connection.errors():
            request = jobs_pb2.WatchJobRequest(id=job_id, max_result_bytes=SMALL_RESULT_BYTES)
            call = self._stub.WatchJob(request, metadata=self._connection.metadata, timeout=seconds)
            try:
                for message in call:
                    yield event_of(message, self._job)
            finally:
                call.cancel()
        raise cut_off(job_id)

    def _job(self, message: jobs_pb2.Job) -> Job:
        return Job.from_message(message, self)

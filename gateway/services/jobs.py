"""JobService."""

from collections.abc import AsyncIterator

from apigpu.v1 import jobs_pb2, jobs_pb2_grpc
from gateway.fleet.fleet import Fleet
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Status
from gateway.services.caller import caller
from gateway.services.presenters import Presenter
from gateway.services.watch import JobWatch
from servicekit.interceptors import Context


class JobService(jobs_pb2_grpc.JobServiceServicer):
    """Serves apigpu.v1.JobService."""

    def __init__(self, jobs: JobManager, messages: Presenter, fleet: Fleet, public_url: str) -> None:
        self._jobs = jobs
        self._messages = messages
        self._fleet = fleet
        self._public_url = public_url

    async def SubmitJob(self, request: jobs_pb2.SubmitJobRequest, context: Context) -> jobs_pb2.SubmitJobResponse:
        """See jobs.proto."""
        job = await self._jobs.submit(request.operation)
        return jobs_pb2.SubmitJobResponse(job=self._messages.job(job, self._base(context)))

    async def GetJob(self, request: jobs_pb2.GetJobRequest, context: Context) -> jobs_pb2.GetJobResponse:
        """See jobs.proto."""
        job = await self._jobs.get(request.id)
        return jobs_pb2.GetJobResponse(job=self._messages.job(job, self._base(context)))

    async def ListJobs(self, request: jobs_pb2.ListJobsRequest, context: Context) -> jobs_pb2.ListJobsResponse:
        """See jobs.proto."""
        status = Status(jobs_pb2.Job.Status.Name(request.status)) if request.status else None
        jobs, token = await self._jobs.page(status, request.page_size, request.page_token)
        return self._messages.page(jobs, token, self._base(context))

    async def CancelJob(self, request: jobs_pb2.CancelJobRequest, context: Context) -> jobs_pb2.CancelJobResponse:
        """See jobs.proto."""
        job = await self._jobs.cancel(request.id)
        return jobs_pb2.CancelJobResponse(message="Job cancelled successfully", job_id=job.id)

    async def WatchJob(
        self, request: jobs_pb2.WatchJobRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.WatchJobResponse]:
        """See jobs.proto."""
        async for event in JobWatch(self._jobs, self._messages, self._fleet, self._base(context)).events(request.id):
            yield event

    def _base(self, context: Context) -> str:
        return caller(context, self._public_url).base_url

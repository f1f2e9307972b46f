"""VideoService. Each method queues a job of its operation, waits for it, and responds with the result.

The methods are built from the service's descriptor: a new operation needs no code here.
"""

import asyncio
import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message

from apigpu.v1 import video_pb2, video_pb2_grpc
from gateway.jobs import operation
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Status
from gateway.services.presenters import JOB_ID, Presenter, idempotency_key, job_options, proxy_metadata
from servicekit.errors import Cancelled, InvalidArgument, ServiceError, from_code
from servicekit.interceptors import Context
from servicekit.local import LocalServer

NO_DRY_RUN = "is for JobService.SubmitJob, whose answer has the quote; this method answers with a result alone."
SERVICE = video_pb2.DESCRIPTOR.services_by_name["VideoService"]


@dataclass(frozen=True)
class VideoService:
    """Serves apigpu.v1.VideoService."""

    jobs: JobManager
    presenter: Presenter

    def add_to(self, server: grpc.aio.Server | LocalServer) -> None:
        """Serve every method of the service on `server`."""
        methods = {
            method.name: functools.partial(self._run, message_factory.GetMessageClass(method.output_type))
            for method in SERVICE.methods
        }
        servicer: Any = SimpleNamespace(**methods)
        target: Any = server
        video_pb2_grpc.add_VideoServiceServicer_to_server(servicer, target)

    async def _run(self, response: type[Message], request: Message, context: Context) -> Message:
        key = idempotency_key(context)
        base_url, options = self.presenter.to(context).base_url, job_options(context)
        if options.dry_run:
            raise InvalidArgument.field("dry_run", NO_DRY_RUN)
        job_id = (await self.jobs.submit(operation.wrap(request), key, options, base_url)).id
        if proxy_metadata(context):  # whose client may prefer to wait for a while only
            await context.send_initial_metadata(((JOB_ID, job_id),))
        try:
            job = await self.jobs.wait(job_id)
        except asyncio.CancelledError:
            # The caller is gone or its deadline has passed, unless the gateway itself shuts down. Clients of the
            # proxy may leave: their job goes on. So does one with a key, by which the caller comes back to it.
            if not key and not proxy_metadata(context) and not self.jobs.closing.is_set():
                self.jobs.withdraw(job_id)
            raise
        except ServiceError as error:
            error.metadata.setdefault("job_id", job_id)
            raise
        if job.status is not Status.COMPLETED:
            raise _error(job.id, job.failure)
        return self.presenter.to(context).response(job, response())


def _error(job_id: str, failure: Any) -> ServiceError:
    if failure is None:
        return Cancelled(f"Job {job_id} was cancelled.", reason="JOB_CANCELLED", metadata={"job_id": job_id})
    reason = failure.reason or "JOB_FAILED"
    error = from_code(failure.code, failure.message, reason=reason, fields=dict(failure.fields))
    error.metadata["job_id"] = job_id
    return error

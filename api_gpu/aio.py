"""The client for asyncio. Its operations, options, events and errors are those of `Client`.

    async with AsyncClient.local() as client:
        job = await client.caption("talk.mp4", "talk.srt")
        await client.download((await job.wait(600)).asset, "captioned.mp4")

Files are read, sent, received and written on threads, by the code of `Client`. What an operator asks for (keys,
tenants, the fleet), usage and destinations are `Client`'s alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import grpc

from api_gpu.assets import PAGE_ASSETS, Asset, Transfers, is_sent_for_once
from api_gpu.attempts import JobLog
from api_gpu.client import Health
from api_gpu.connection import OPTIONS, Connection, Endpoint, Metadata, Retries
from api_gpu.inline import inlined
from api_gpu.jobs import PAGE_JOBS, SMALL_RESULT_BYTES, WaitLimit, cut_off, retrial, submission
from api_gpu.operations import Operations, filled, set_sources, wanted_assets, wanted_jobs
from api_gpu.outcomes import Clip, Finished, JobRecord, Progress, Queued, event_of
from api_gpu.requests import local_file
from api_gpu.scenes import asset_names, scenes_of
from api_gpu.uploads import OnBytes
from apigpu.options import Scene, Source, Status, StoryOptions
from apigpu.v1 import assets_pb2, jobs_pb2, quote_pb2, system_pb2, video_pb2
from apigpu.v1.assets_pb2_grpc import AssetServiceStub
from apigpu.v1.jobs_pb2_grpc import JobServiceStub
from apigpu.v1.system_pb2_grpc import SystemServiceStub
from servicekit.errors import DeadlineExceeded, ServiceError, Unavailable

T = TypeVar("T")


class AsyncConnection(Endpoint):
    """A TLS channel of the event loop that first uses it."""

    @cached_property
    def channel(self) -> grpc.aio.Channel:
        """The channel."""
        return grpc.aio.secure_channel(self.target, self.credentials, options=OPTIONS)

    async def close(self) -> None:
        """End the connection, and every call on it."""
        if "channel" in self.__dict__:
            await self.channel.close()

    async def call(self, method: Any, request: Any, more: Metadata = ()) -> Any:
        """Call a method of the gateway with the key, and more metadata. Raises ServiceError."""
        with self.errors():
            answer = await method(request, metadata=(*self.metadata, *more))
            self.has_answered = True
            return answer

    async def call_until_answered(self, method: Any, request: Any) -> Any:
        """Call a method that may be called again, for as long as `Retries` allow. Raises ServiceError."""
        retries = Retries(self)
        while True:
            try:
                return await self.call(method, request)
            except Unavailable as error:
                await _pause(retries, error)

    async def transfer(self, work: Callable[[Transfers], T]) -> T:
        """Return what `work` does on a thread, over a connection of its own, which ends with the caller's task."""
        connection = Connection(self.target, self.key, self.credentials, self.reconnect_seconds)
        connection.has_answered = self.has_answered
        has_begun = threading.Event()

        def begin() -> T:
            has_begun.set()
            return work(Transfers(connection))

        working = asyncio.create_task(asyncio.to_thread(begin))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            connection.close()
            if not has_begun.is_set():  # no thread is free, and none may be for long
                working.cancel()
            with suppress(Exception):  # whatever it is that a call on a closed connection ends with
                await working
            raise
        finally:
            connection.close()


async def _pause(retries: Retries, error: ServiceError) -> None:
    """Wait before a call is tried again; raise its error once it has failed for too long."""
    pause_seconds = retries.next_pause()
    if pause_seconds is None:
        raise error
    await asyncio.sleep(pause_seconds)


@dataclass(frozen=True)
class AsyncJob(JobRecord):
    """A job as it stood when it was read, and what can be done with it."""

    service: AsyncJobs = field(repr=False, compare=False)

    async def refresh(self) -> AsyncJob:
        """Read the job again."""
        return await self.service.get(self.id)

    async def cancel(self) -> None:
        """Cancel the job. Raises FailedPrecondition when it has ended."""
        await self.service.cancel(self.id)

    async def retry(self) -> AsyncJob:
        """Queue the job anew, which has ended; return the new one. Raises FailedPrecondition when it has not, and when
        an input is gone."""
        return await self.service.retry(self.id)

    def watch(self, timeout: float | None = None) -> AsyncIterator[AsyncEvent]:
        """Yield the events from now to Finished, across restarts of the gateway, for `timeout` seconds at most. Leaving
        the loop ends no job. Raises WaitTimeout."""
        return self.service.watch(self.id, timeout)

    async def wait(self, timeout: float | None = None) -> AsyncJob:
        """Return the completed job, after `timeout` seconds at most. Raises the error that it failed with, Cancelled,
        DeadlineExceeded, or WaitTimeout (a TimeoutError), after which it goes on."""
        if self.ended is not None:
            return self.checked()
        job = self
        async for event in self.watch(timeout):
            if isinstance(event, Finished):
                job = event.job
        return job.checked()


AsyncEvent = Queued | Progress | Clip | Finished[AsyncJob]


class AsyncJobs:
    """Calls of JobService over one connection. Every method raises ServiceError."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @cached_property
    def _stub(self) -> Any:
        return JobServiceStub(self._connection.channel)

    async def submit(
        self, operation: video_pb2.Operation, idempotency_key: str = "", options: jobs_pb2.JobOptions | None = None
    ) -> AsyncJob:
        """Queue an operation; as Jobs.submit does."""
        request = submission(operation, idempotency_key, options)
        return self._job((await self._connection.call_until_answered(self._stub.SubmitJob, request)).job)

    async def get(self, job_id: str) -> AsyncJob:
        """Read a job. Raises NotFound."""
        request = jobs_pb2.GetJobRequest(id=job_id)
        return self._job((await self._connection.call_until_answered(self._stub.GetJob, request)).job)

    async def cancel(self, job_id: str) -> None:
        """Cancel a job. Raises NotFound, and FailedPrecondition when it has ended."""
        await self._connection.call(self._stub.CancelJob, jobs_pb2.CancelJobRequest(id=job_id))

    async def retry(self, job_id: str, idempotency_key: str = "") -> AsyncJob:
        """Queue a job anew that has ended; as Jobs.retry does."""
        request = retrial(job_id, idempotency_key)
        return self._job((await self._connection.call_until_answered(self._stub.RetryJob, request)).job)

    async def logs(self, job_id: str) -> tuple[JobLog, ...]:
        """Return what FFmpeg said of a job. Raises NotFound."""
        request = jobs_pb2.GetJobLogRequest(id=job_id)
        answer = await self._connection.call_until_answered(self._stub.GetJobLog, request)
        return tuple(JobLog.from_message(found) for found in answer.logs)

    async def list(self, wanted: jobs_pb2.ListJobsRequest) -> AsyncIterator[AsyncJob]:
        """Yield the jobs that are wanted, the newest first; fetched in pages, as they are needed."""
        async for page in pages(self._connection, self._stub.ListJobs, wanted, PAGE_JOBS):
            for job in page.jobs:
                yield self._job(job)

    async def watch(self, job_id: str, timeout: float | None = None) -> AsyncIterator[AsyncEvent]:
        """Follow a job to Finished. A broken stream is opened again, for as long as `Retries` allow."""
        retries, events, limit = Retries(self._connection), 0, WaitLimit.of(job_id, timeout)
        while True:
            try:
                async with aclosing(self._watch_once(job_id, limit.seconds_left)) as following:
                    async for event in following:
                        events += 1
                        retries.got_on(events)
                        yield event
                        if isinstance(event, Finished):
                            return
            except (Unavailable, DeadlineExceeded) as error:
                limit.check()
                await _pause(retries, error)

    async def _watch_once(self, job_id: str, seconds: float | None) -> AsyncGenerator[AsyncEvent, None]:
        with self._connection.errors():
            request = jobs_pb2.WatchJobRequest(id=job_id, max_result_bytes=SMALL_RESULT_BYTES)
            call = self._stub.WatchJob(request, metadata=self._connection.metadata, timeout=seconds)
            try:
                async for message in call:
                    yield event_of(message, self._job)
            finally:
                call.cancel()
        raise cut_off(job_id)

    def _job(self, message: jobs_pb2.Job) -> AsyncJob:
        return AsyncJob.from_message(message, self)


async def pages(connection: AsyncConnection, method: Any, wanted: Any, size: int) -> AsyncIterator[Any]:
    """Yield the pages of a list, as they are needed."""
    request = type(wanted)(page_size=size)
    request.MergeFrom(wanted)
    while True:
        answer = await connection.call_until_answered(method, request)
        yield answer
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


class AsyncClient(Operations[Coroutine[Any, Any, AsyncJob]]):
    """A connection to a gateway, for one event loop. Errors are subclasses of ServiceError. A task that is cancelled
    ends its transfer; a job that it waits for goes on."""

    endpoint_class = AsyncConnection

    def __init__(self, connection: AsyncConnection, options: jobs_pb2.JobOptions | None = None) -> None:
        super().__init__(connection, options)
        self._jobs = AsyncJobs(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Jobs go on."""
        await self._connection.close()

    @cached_property
    def _assets(self) -> Any:
        return AssetServiceStub(self._connection.channel)

    async def story(
        self, scenes: Sequence[Source | Scene | Mapping[str, Any]], **options: Unpack[StoryOptions]
    ) -> AsyncJob:
        """Queue a job that makes a finished film of scenes, in their order; as Client.story does."""
        types = {name: (await self.asset(name)).content_type for name in asset_names(scenes)}
        return await self._submit("story", options, scenes=scenes_of(scenes, types.__getitem__))

    async def quote(self, operation: str, *args: Any, **values: Any) -> quote_pb2.Quote:
        """Return what a job would do, of an operation by its name, with the arguments of its method. Local files are
        uploaded for it, and deleted again."""
        quote = (await getattr(self.quoting(), operation)(*args, **values)).quote
        assert isinstance(quote, quote_pb2.Quote)
        return quote

    async def submit(self, operation: video_pb2.Operation, idempotency_key: str = "") -> AsyncJob:
        """Queue a job from a message of the API, whose sources are URLs and names of assets. With the same
        `idempotency_key` and operation there is one job. Raises AlreadyExists for a key of another operation."""
        return await self._jobs.submit(operation, idempotency_key, self._options)

    async def get(self, job_id: str) -> AsyncJob:
        """Read a job. Raises NotFound."""
        return await self._jobs.get(job_id)

    def jobs(
        self,
        status: Status | None = None,
        *,
        operation: str = "",
        metadata: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tenant: str = "",
    ) -> AsyncIterator[AsyncJob]:
        """Yield the jobs, the newest first; as Client.jobs does."""
        return self._jobs.list(wanted_jobs(status, operation, metadata, since, until, tenant))

    async def cancel(self, job_id: str) -> None:
        """Cancel a job. Raises NotFound, and FailedPrecondition when it has ended."""
        await self._jobs.cancel(job_id)

    async def retry(self, job_id: str) -> AsyncJob:
        """Queue a job anew that has ended. Raises NotFound, and FailedPrecondition when it has not ended or an input is
        gone."""
        return await self._jobs.retry(job_id)

    async def logs(self, job_id: str) -> tuple[JobLog, ...]:
        """Return the end of what FFmpeg said in attempts at a job's tasks, as Client.logs does."""
        return await self._jobs.logs(job_id)

    async def upload(self, path: Path | str, on_bytes: OnBytes | None = None) -> Asset:
        """Upload a local file, as Client.upload does; `on_bytes` is called on another thread."""
        asset: Asset = await self._connection.transfer(lambda transfers: transfers.upload(Path(path), on_bytes))
        return asset

    async def kept(self, path: Path | str) -> Asset | None:
        """Return the asset that a large local file is, as Client.kept does."""
        asset: Asset | None = await self._connection.transfer(lambda transfers: transfers.kept(Path(path)))
        return asset

    async def download(
        self, asset: str | Asset | JobRecord, target: Path | str, on_bytes: OnBytes | None = None
    ) -> Path:
        """Write an asset, or the result of an ended job, to `target`, as Client.download does; `on_bytes` is called on
        another thread."""
        path: Path = await self._connection.transfer(
            lambda transfers: transfers.download(asset, Path(target), on_bytes)
        )
        return path

    async def asset(self, name: str) -> Asset:
        """Describe an asset. Raises NotFound."""
        request = assets_pb2.GetAssetRequest(name=name)
        answer = await self._connection.call_until_answered(self._assets.GetAsset, request)
        return Asset.from_message(answer.asset)

    async def assets(
        self, content_type: str = "", *, since: datetime | None = None, until: datetime | None = None, tenant: str = ""
    ) -> AsyncIterator[Asset]:
        """Yield the assets, the newest first; as Client.assets does."""
        wanted = wanted_assets(content_type, since, until, tenant)
        async for page in pages(self._connection, self._assets.ListAssets, wanted, PAGE_ASSETS):
            for found in page.assets:
                yield Asset.from_message(found)

    async def delete(self, name: str) -> None:
        """Delete an asset. Raises NotFound."""
        await self._connection.call(self._assets.DeleteAsset, assets_pb2.DeleteAssetRequest(name=name))

    async def health(self) -> Health:
        """Return the state of the gateway. Needs no key."""
        stub = SystemServiceStub(self._connection.channel)
        return Health.from_message(await self._connection.call(stub.GetHealth, system_pb2.GetHealthRequest()))

    async def _submit(self, operation: str, options: Mapping[str, Any], **values: Any) -> AsyncJob:
        message, inputs = filled(operation, options, values)
        sources = [each.source for each in inputs]
        if not self.is_quoting:
            sources = await asyncio.to_thread(inlined, sources)
        names = [str(source) for source in sources]
        if any(map(local_file, sources)):
            names = await self._connection.transfer(lambda transfers: transfers.resolve(sources))
        set_sources(inputs, names)
        once = {name for source, name in zip(sources, names, strict=True) if is_sent_for_once(source)}
        try:
            return await self._jobs.submit(message, options=self._options)
        finally:
            if self.is_quoting:
                for name in once:
                    with suppress(ServiceError):
                        await self.delete(name)

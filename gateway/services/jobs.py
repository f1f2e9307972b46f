"""JobService, and the events of a job that it streams."""

import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from google.protobuf.message import Message

from apigpu.v1 import jobs_pb2 as pb2
from apigpu.v1 import jobs_pb2_grpc
from gateway.assets.store import AssetStore
from gateway.callers import caller
from gateway.fleet.fleet import Fleet
from gateway.jobs.ffmpeg_log import FfmpegLogs
from gateway.jobs.followers import Follower
from gateway.jobs.listing import JobFilter
from gateway.jobs.manager import JobManager, check_wait
from gateway.jobs.model import Job, Status
from gateway.jobs.progress import TaskProgress
from gateway.jobs.quote import Quoter
from gateway.jobs.retries import retry
from gateway.jobs.start_times import StartTimes
from gateway.services.attempts import told_log
from gateway.services.presenters import Presenter, idempotency_key, job_options
from gateway.services.quotes import quoted_job
from gateway.services.small_results import check_most, small_result
from gateway.services.standing import Standing
from gateway.services.tokens import EventId, PageTokens
from gateway.services.webhooks import webhook_deliveries
from gateway.webhooks.log import WebhookLog
from servicekit.echo import brief
from servicekit.errors import InvalidArgument
from servicekit.interceptors import Context
from servicekit.url_secrets import masked_url

# Entries of metadata by which a list may be narrowed.
MAX_NOTES = 10


@dataclass(eq=False)
class JobService(jobs_pb2_grpc.JobServiceServicer):
    """Serves apigpu.v1.JobService."""

    jobs: JobManager
    presenter: Presenter
    fleet: Fleet
    webhooks: WebhookLog
    quoter: Quoter
    logs: FfmpegLogs
    starts: StartTimes
    assets: AssetStore

    @property
    def tokens(self) -> PageTokens:
        return PageTokens(self.presenter.links)

    def _standing(self, context: Context) -> Standing:
        return Standing(self.jobs, self.presenter.to(context), self.fleet, self.starts)

    async def SubmitJob(self, request: pb2.SubmitJobRequest, context: Context) -> pb2.SubmitJobResponse:
        check_wait(request.wait_seconds)
        options, presenter = job_options(context), self.presenter.to(context)
        options.MergeFrom(request.options)
        if options.dry_run:
            quote = await self.quoter.quote(request.operation, options, presenter.base_url)
            return pb2.SubmitJobResponse(job=quoted_job(quote))
        key = request.idempotency_key or idempotency_key(context)
        job = await self.jobs.submit(request.operation, key, options, presenter.base_url)
        if request.wait_seconds:
            job = await self.jobs.get(job.id, request.wait_seconds)
        return pb2.SubmitJobResponse(job=self._standing(context).told(job))

    async def GetJob(self, request: pb2.GetJobRequest, context: Context) -> pb2.GetJobResponse:
        job = await self.jobs.get(request.id, request.wait_seconds)
        return pb2.GetJobResponse(job=self._standing(context).told(job))

    async def ListJobs(self, request: pb2.ListJobsRequest, context: Context) -> pb2.ListJobsResponse:
        wanted = job_filter(request)
        before = self.tokens.read(request.page_token, wanted)
        jobs, last = await self.jobs.page(wanted, request.page_size, before)
        page = await self.presenter.to(context).page(jobs, last, self._standing(context).add)
        page.next_page_token = self.tokens.make(page.next_page_token, wanted)
        page.counts.update({status.value: count for status, count in self.jobs.counts(wanted.tenant).items()})
        return page

    async def CancelJob(self, request: pb2.CancelJobRequest, context: Context) -> pb2.CancelJobResponse:
        job = await self.jobs.cancel(request.id)
        return pb2.CancelJobResponse(message="Job cancelled successfully", job_id=job.id)

    async def RetryJob(self, request: pb2.RetryJobRequest, context: Context) -> pb2.RetryJobResponse:
        key = request.idempotency_key or idempotency_key(context)
        told = self._standing(context).told(await retry(self.jobs, request.id, key))
        if not caller.get().may_read:  # another key may have asked for the first one
            for field in ("request", "inputs", "metadata"):
                told.ClearField(field)
        return pb2.RetryJobResponse(job=told)

    async def GetJobLog(self, request: pb2.GetJobLogRequest, context: Context) -> pb2.GetJobLogResponse:
        job, found = await self.logs.read(request.id)
        return pb2.GetJobLogResponse(logs=told_log(job, found, self.presenter.encoder))

    async def ListWebhooks(self, request: pb2.ListWebhooksRequest, context: Context) -> pb2.ListWebhooksResponse:
        job, told = await self.webhooks.read(request.id)
        url = masked_url(job.webhook.url) if job.webhook else ""
        return pb2.ListWebhooksResponse(webhook_url=url, deliveries=webhook_deliveries(job.id, told))

    async def RedeliverWebhooks(
        self, request: pb2.RedeliverWebhooksRequest, context: Context
    ) -> pb2.RedeliverWebhooksResponse:
        told = await self.webhooks.redeliver(request.id, request.webhook_id)
        return pb2.RedeliverWebhooksResponse(deliveries=webhook_deliveries(request.id, told))

    async def WatchJob(self, request: pb2.WatchJobRequest, context: Context) -> AsyncIterator[pb2.WatchJobResponse]:
        check_most(request.max_result_bytes)
        place = EventId.parse(request.last_event_id, request.id)
        watch = JobWatch(self.jobs, self.presenter.to(context), self.fleet, set(place.items), self.starts)
        if place.is_end:
            await self.jobs.store.visible(request.id)
            return
        async for event in watch.events(request.id):
            told = pb2.WatchJobResponse(event_id=str(watch.place(request.id, event)))
            told.MergeFrom(event)  # a copy: the watch compares events with what it yielded
            if event.HasField("finished"):
                told.finished.result = await small_result(
                    self.assets, event.finished, request.max_result_bytes, held=watch.held_result
                )
            yield told


def job_filter(request: pb2.ListJobsRequest) -> JobFilter:
    """Return which jobs are asked for, of those that the caller may see. Raises InvalidArgument."""
    if request.status not in pb2.Job.Status.values():
        raise InvalidArgument.field("status", f"is {request.status}; give one of {', '.join(pb2.Job.Status.keys())}")
    if len(request.metadata) > MAX_NOTES:
        raise InvalidArgument.field("metadata", f"has {len(request.metadata)} entries and {MAX_NOTES} are the most.")
    for entry in request.metadata:
        if "=" not in entry:
            raise InvalidArgument.field("metadata", f"{brief(entry)!r} is no entry; give name=value.")
    notes = (entry.partition("=") for entry in request.metadata)
    after, before = created_between(request)
    return JobFilter(
        status=Status(pb2.Job.Status.Name(request.status)) if request.status else None,
        operation=request.operation,
        tenant=caller.get().sight_of(request.tenant),
        metadata=tuple(sorted((name, value) for name, _, value in notes)),
        created_after=after,
        created_before=before,
    )


def created_between(request: Message) -> tuple[float, float]:
    """Return the bounds of a list in time, as a request for it has them (Unix seconds)."""
    after, before = (
        getattr(request, name).ToMilliseconds() / 1000 if request.HasField(name) else default
        for name, default in (("created_after", 0.0), ("created_before", math.inf))
    )
    return after, before


@dataclass
class JobWatch:
    """One caller's view of one job, as a stream of events without repeats."""

    jobs: JobManager
    presenter: Presenter
    fleet: Fleet
    # Images of a batch that the caller has been told.
    sent_items: set[int] = field(default_factory=set)
    starts: StartTimes | None = None
    _running: dict[int, TaskProgress] = field(default_factory=dict)
    _last: pb2.WatchJobResponse | None = None
    _follower: Follower | None = None

    @property
    def standing(self) -> Standing:
        return Standing(self.jobs, self.presenter, self.fleet, self.starts)

    async def events(self, job_id: str) -> AsyncIterator[pb2.WatchJobResponse]:
        """Yield the events until the job has ended. Raises NotFound, Unavailable."""
        with self.jobs.store.index.followers.following(job_id, place=True) as changed:
            self._follower = changed
            await self.jobs.visible(job_id)  # what is no id must not become a topic

            def on_progress(index: int, progress: TaskProgress) -> None:
                self._running[index] = progress
                changed.set()

            async with self.jobs.progress.subscribe(job_id, on_progress):
                async for job in self.jobs.follow(job_id, changed):
                    for event in self._new_events(job):
                        yield event

    def place(self, job_id: str, event: pb2.WatchJobResponse) -> EventId:
        """Return where the watch stands after the event."""
        return EventId(job_id, frozenset(self.sent_items), is_end=event.HasField("finished"))

    def held_result(self, asset: str) -> bytes:
        """Return the bytes of a small result that was stored while the watch ran, a moment ago; b"" of any other."""
        return self._follower.result(asset) if self._follower is not None else b""

    def _new_events(self, job: Job) -> Iterator[pb2.WatchJobResponse]:
        yield from self._items(job)
        if job.status.is_terminal:
            event = pb2.WatchJobResponse(finished=self.presenter.job(job))
        elif job.status is Status.IN_QUEUE:
            event = pb2.WatchJobResponse(queued=self.standing.queued(job, self._running))
        else:
            event = pb2.WatchJobResponse(progress=self.standing.progress(job, self._running))
        if event != self._last:
            self._last = event
            yield event

    def _items(self, job: Job) -> Iterator[pb2.WatchJobResponse]:
        if not job.batch:
            return
        for index, video in enumerate(self.presenter.videos(job)):
            if job.tasks[index].status.is_terminal and index not in self.sent_items:
                self.sent_items.add(index)
                yield pb2.WatchJobResponse(item=video)

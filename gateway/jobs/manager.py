"""The job manager: submit, read, wait for and cancel jobs."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog

from apigpu.v1 import jobs_pb2, video_pb2
from gateway.callers import caller
from gateway.jobs import checks, graph, model, names, operation, options
from gateway.jobs.claiming import Claiming, MadeBefore, claiming
from gateway.jobs.claims import HeldClaim, IdempotencyKey
from gateway.jobs.filenames import read_filenames
from gateway.jobs.hooks import Webhook
from gateway.jobs.inline_inputs import naming, stored_inline
from gateway.jobs.job_log import of_request
from gateway.jobs.listing import JobFilter
from gateway.jobs.model import Failure, Job, Status
from gateway.jobs.options import CheckedOptions
from gateway.jobs.policy import JobPolicy
from gateway.jobs.progress import ProgressBus
from gateway.jobs.queue import TaskQueue
from gateway.jobs.store import JobStore
from gateway.sources import Sources
from servicekit import log_context
from servicekit.errors import (
    Aborted,
    Cancelled,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from servicekit.faults import Faults
from servicekit.tasks import cancel_and_wait, unless_set

log = structlog.get_logger("gateway.jobs")

T = TypeVar("T")

DEFAULT_PAGE = 50
MAX_PAGE = 1000
# A call that waits for a job; proxies and tools cut longer ones.
MAX_WAIT_SECONDS = 300.0
# Each of them keeps a short call open: so many leave most slots of those to others.
MAX_WAITS = 200
# At shutdown: long enough to return a job that has just ended, and a store that is away delays no caller for longer.
LAST_READ_SECONDS = 1.0
# A job that is followed is read again after so many looks at it, should a change not have been told.
REREAD_CHECKS = 6
QUEUE_FULL_SECONDS = 30.0
NO_OPTIONS = jobs_pb2.JobOptions()
CANCELLED = Failure(code=Cancelled.code.value[0], message="The job was cancelled.", reason="JOB_CANCELLED")


def check_wait(seconds: float) -> None:
    """Raise InvalidArgument for more seconds than a call may wait for a job."""
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise InvalidArgument.field("wait_seconds", f"is {seconds:g}; give 0 to {MAX_WAIT_SECONDS:g}.")


@dataclass(eq=False)
class JobManager:
    """The jobs of all gateways; for a caller those of its tenant. `check_cost` raises for one that is expected to cost
    more than it may, `check_room` while the store has no room for new jobs.

    Errors: InvalidArgument (the operation is wrong), NotFound (no such job), FailedPrecondition (it has ended),
    Unavailable (the store does not answer, or the gateway shuts down).
    """

    store: JobStore
    queue: TaskQueue
    progress: ProgressBus
    sources: Sources
    check_cost: Callable[[Job], None]
    policy: JobPolicy
    check_room: Callable[[], None] = lambda: None
    # Holds the place of a new job among those of its tenant and key while it is written. Raises ResourceExhausted.
    admit: Callable[[Job], AbstractAsyncContextManager[None]] = lambda job: contextlib.nullcontext()
    # Returns whom the jobs of a tenant are told to that name no webhook, with the base URL of links for the caller.
    default_webhook: Callable[[str, str], Webhook | None] = lambda tenant, base_url: None
    # Returns a new job with where its results go.
    place_output: Callable[[Job, jobs_pb2.JobOutput], Awaitable[Job]] | None = None
    is_draining: bool = field(default=False, init=False)
    # Set once the gateway shuts down: every wait ends, and whoever waits for a job leaves it alone.
    closing: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    # Calls that wait for a job by `get`.
    waits: int = field(default=0, init=False)
    # Jobs that are to be cancelled, and claims that are to be released.
    withdrawals: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    releases: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def submit(
        self,
        wanted: video_pb2.Operation,
        idempotency_key: str = "",
        said: jobs_pb2.JobOptions = NO_OPTIONS,
        base_url: str = "",
    ) -> Job:
        """Check the operation and queue it; on return it is on disk. Return the new job, or that which an earlier
        request with the same `idempotency_key` made. Raise AlreadyExists for a key that came with another request.

        `base_url` is scheme and host of links as the caller knows them, for calls of a webhook.
        """
        request = wanted.SerializeToString(deterministic=True) + said.SerializeToString(deterministic=True)
        key = IdempotencyKey.of(idempotency_key, request, caller.get().tenant)
        checks.check(wanted, self.policy.max_items)
        wanted = operation.inline_texts(wanted)
        self._check_sources(wanted)
        checked = await self.checked_options(said, base_url)
        tenant = caller.get().tenant
        try:
            async with (
                claiming(self.store.claims, key, self._claim, self.releases) as claim,
                stored_inline(self.sources, wanted, tenant, key, claim.held) as stored,
            ):
                sources = (source for _, source in operation.inputs(operation.kind(stored)[1]))
                filenames = await read_filenames(self.sources.assets, sources, tenant)
                job = self.new_job(stored, checked, filenames)
                if self.place_output is not None:
                    job = await self.place_output(job, said.output)
                if (held := await claim.held()) is not None:
                    job = replace(job, id=held.job_id)
                self.sources.just_stored.bind((name for name, _ in filenames), job.id)
                return await self.enter(job, key, claim)
        except MadeBefore as before:
            return before.job

    async def enter(self, job: Job, key: IdempotencyKey | None, claim: Claiming | None = None) -> Job:
        """Queue a new job, by a claim that is held or one that is made now; return it, or that which an earlier request
        with the key made meanwhile."""
        job = of_request(job)
        self.check_cost(job)
        self.check_room()
        self._check_queue(job)
        async with self.admit(job):
            held = None
            if claim is not None:
                held, claim.is_used = await claim.held(), True
            job = await (self._add(job) if key is None else self._stored(lambda: self._add_once(job, key, held)))
        # Nothing is awaited from here on: a caller that left now would leave a job without its inputs.
        log_context.learn(job=job.id)
        log.info("job queued", operation=job.operation, tasks=len(job.tasks))
        return job

    async def checked_options(self, said: jobs_pb2.JobOptions, base_url: str) -> CheckedOptions:
        """Return what a caller says of a job as the job has it. Raises InvalidArgument."""
        default = self.default_webhook(caller.get().tenant, base_url)
        return await options.check(said, base_url, self.sources.fetcher.guard, default)

    def _check_queue(self, job: Job) -> None:
        """Raise ResourceExhausted for tasks that the queue has no room for."""
        if self.store.index.tasks_waiting + len(job.tasks) > self.policy.max_queued_tasks:
            text = f"The queue has its {self.policy.max_queued_tasks} tasks; try again when some of them are done."
            raise ResourceExhausted(text, reason="QUEUE_FULL", retry_seconds=QUEUE_FULL_SECONDS)

    async def _stored(self, write: Callable[[], Awaitable[T]]) -> T:
        """Return what `write` does, which may be done again: for a while, as a cluster of stores that loses its leader
        takes some seconds to have another. Raise Unavailable once that is over."""
        deadline = time.monotonic() + self.policy.store_seconds
        while True:
            try:
                return await write()
            except Unavailable:
                if time.monotonic() > deadline or self.closing.is_set():
                    raise
            await asyncio.sleep(self.policy.record_retry_seconds)
            self.check_room()

    def new_job(
        self, wanted: video_pb2.Operation, checked: CheckedOptions, filenames: tuple[tuple[str, str], ...] = ()
    ) -> Job:
        """Return the job of a checked operation, the inputs of which have these names. Raises InvalidArgument for a
        chain that cannot be one."""
        now = time.time()
        tasks = graph.tasks_of(wanted, self.policy.max_items)
        return Job(
            id=model.new_id(now),
            operation=operation.kind(wanted)[0],
            request=graph.request_of(wanted),
            batch=operation.is_batch(wanted),
            tasks=names.with_stems(wanted, tasks, dict(filenames)),
            created_at=now,
            graph=graph.is_graph(wanted),
            webhook=checked.webhook,
            metadata=checked.metadata,
            tenant=caller.get().tenant,
            key=caller.get().limited_key,
            priority=checked.priority,
            deadline=now + checked.deadline_seconds if checked.deadline_seconds else 0.0,
            preview=checked.preview,
            filenames=filenames,
            counted=None,
        )

    async def made_before(self, key: IdempotencyKey | None) -> Job | None:
        """Return the job that an earlier request with a key made. Raises AlreadyExists for one of another request."""
        return await self._stored(lambda: self._made_before(key)) if key is not None else None

    async def _made_before(self, key: IdempotencyKey) -> Job | None:
        claim = await self.store.claims.find(key)
        return await self._made_by(claim.job_id) if claim is not None else None

    async def _made_by(self, job_id: str) -> Job | None:
        """Return the job of a claim; None where the gateway that claimed the key is still at it, or gone."""
        with contextlib.suppress(NotFound):
            job = await self.store.get(job_id)
            await self.queue.put(job)  # which it may not have come to
            return job
        return None

    async def _claim(self, key: IdempotencyKey) -> HeldClaim:
        """Claim the key of a request, or take over the claim of one that made no job yet. Raises MadeBefore."""

        async def write() -> HeldClaim:
            while True:
                held = await self.store.claims.claim(key, model.new_id(time.time()))
                if held.is_first:
                    return held
                if (made := await self._made_by(held.job_id)) is not None:
                    raise MadeBefore(made)
                if (taken := await self.store.claims.take_over(key, held)) is not None:
                    return taken

        return await self._stored(write)

    async def _add_once(self, job: Job, key: IdempotencyKey, held: HeldClaim | None) -> Job:
        """Add the job of a key, unless somebody else does. What fails half-way is done by the next try."""
        held = held or await self.store.claims.hold(key, job.id)
        job = replace(job, id=held.job_id, claim=key.name)
        try:
            await self.store.add(job)
        except Aborted:
            job = await self.store.get(job.id)
        except InvalidArgument:  # it is too large
            await self.store.claims.drop(key.name)
            raise
        await self.queue.put(job)
        return job

    async def _add(self, job: Job) -> Job:
        try:
            await self._stored(lambda: self._put(job))
        except BaseException:
            # The caller gets an error, or is gone: the job must not run all the same.
            self.withdraw(job.id)
            raise
        return job

    async def _put(self, job: Job) -> None:
        with contextlib.suppress(Aborted):  # written at an earlier try, whose answer was lost
            await self.store.add(job)
        await self.queue.put(job)

    def withdraw(self, job_id: str) -> None:
        """Cancel a job that nobody waits for, in the background; retry while the store does not answer."""
        task = asyncio.create_task(self._withdraw(job_id))
        self.withdrawals.add(task)
        task.add_done_callback(self.withdrawals.discard)

    async def _withdraw(self, job_id: str) -> None:
        # A write that failed while the store was away may still arrive when it is back.
        deadline, is_absent = time.monotonic() + self.policy.withdraw_seconds, False
        while time.monotonic() < deadline:
            try:
                with contextlib.suppress(FailedPrecondition):  # it has ended
                    await self.cancel(job_id)
            except NotFound:
                if is_absent:
                    return
                is_absent = True  # once more: this read may have overtaken the write of the record
            except (Unavailable, Aborted):
                is_absent = False
            else:
                return
            await asyncio.sleep(self.policy.withdraw_retry_seconds)
        event = "could not cancel a rejected job: the job store did not answer; it may run"
        log.warning(event, job=job_id, seconds=self.policy.withdraw_seconds)

    def _check_sources(self, wanted: video_pb2.Operation) -> None:
        faults = Faults()
        for path, source in operation.inputs(operation.kind(wanted)[1]):
            if graph.is_graph(wanted) and graph.is_reference(source):
                continue
            with faults.gathering(), naming(path):
                self.sources.check(source)
        faults.check()

    async def page(self, wanted: JobFilter, size: int, token: str) -> tuple[list[Job], str]:
        """Return a page of the jobs of a list, the newest first, and the token of the next page ("" at the end)."""
        if not 0 <= size <= MAX_PAGE:
            raise InvalidArgument(
                f"page_size is {size} and must be from 1 to {MAX_PAGE}.",
                reason="BAD_FIELD",
                fields={"page_size": "range"},
            )
        return await self.store.page(wanted, size or DEFAULT_PAGE, token)

    def counts(self, tenant: str | None) -> dict[Status, int]:
        """Return how many jobs there are, by status, of a tenant (None: of all)."""
        return self.store.index.counts(tenant)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job that has not ended; return it."""

        def step(job: Job) -> Job:
            if job.status.is_terminal:
                raise FailedPrecondition(f"Job is already {job.status.value.lower()}", reason="CANCEL_REFUSED")
            return model.cancel(job, CANCELLED, time.time())

        await self.store.visible(job_id)
        job = await self.store.update(job_id, step)
        log.info("job cancelled")
        return job

    async def get(self, job_id: str, wait_seconds: float = 0.0) -> Job:
        """Return the job as it is once it has ended, or after `wait_seconds`; at once while MAX_WAITS others wait.

        Raise InvalidArgument for too many seconds.
        """
        check_wait(wait_seconds)
        if wait_seconds and self.waits < MAX_WAITS:
            self.waits += 1
            try:
                async with asyncio.timeout(wait_seconds):
                    return await self.wait(job_id)
            except TimeoutError:
                pass  # answered with what there is
            finally:
                self.waits -= 1
        return await self.store.visible(job_id)

    async def wait(self, job_id: str) -> Job:
        """Wait until the job has ended; return it. Raise Unavailable if the gateway shuts down before."""
        with self.store.index.followers.following(job_id) as changed:
            async for latest in self.follow(job_id, changed):
                job = latest
        return job

    async def follow(self, job_id: str, changed: asyncio.Event) -> AsyncIterator[Job]:
        """Yield the job as it is now, and again after each time that the event is set or `recheck_seconds` are over, up
        to its end. While the store does not answer, the job goes on, and so does the wait for it.

        Raise Unavailable if the gateway shuts down before.
        """
        while True:
            if (job := self.store.followed(job_id, self._seen_seconds)) is None:
                with contextlib.suppress(Unavailable):
                    job = await unless_set(self.closing, self.visible(job_id), LAST_READ_SECONDS)
            if job is not None:
                yield job
                if job.status.is_terminal:
                    return
            await self.changed(changed)
            if self.closing.is_set():
                raise Unavailable(
                    f"The gateway is shutting down; job {job_id} goes on. Ask for it again in a moment.",
                    reason="SHUTTING_DOWN",
                    metadata={"job_id": job_id},
                )

    async def visible(self, job_id: str) -> Job:
        """Return a job that the caller may see; one that is followed as it was seen a moment ago, at most. Raises
        NotFound."""
        return await self.store.visible(job_id, self._seen_seconds)

    @property
    def _seen_seconds(self) -> float:
        return REREAD_CHECKS * self.policy.recheck_seconds

    async def changed(self, changed: asyncio.Event) -> None:
        """Wait for the event of a follower or for the shutdown, `recheck_seconds` at most."""
        if not self.closing.is_set():  # which wakes all followers
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.policy.recheck_seconds):
                    await changed.wait()
        changed.clear()

    def end_waits(self) -> None:
        """End every wait for a job, as the gateway shuts down."""
        self.closing.set()
        self.store.index.followers.wake_all()

    async def stop(self) -> None:
        """End every wait, all withdrawals and releases."""
        self.end_waits()
        await cancel_and_wait(*self.withdrawals, *self.releases)

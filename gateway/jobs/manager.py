"""Where jobs are handed in, asked about, waited for and cancelled."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from apigpu.v1 import video_pb2
from gateway.jobs import model, operation
from gateway.jobs.model import Failure, Job, Status, Task
from gateway.jobs.progress import ProgressBus
from gateway.jobs.queue import TaskQueue
from gateway.jobs.retry import RETRY_POLICY, RetryPolicy
from gateway.jobs.store import JobStore
from gateway.sources import Sources
from servicekit.errors import Aborted, Cancelled, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("jobs")

T = TypeVar("T")

DEFAULT_PAGE = 50
MAX_PAGE = 1000
# At the end of the gateway: a job that ended with it is told, and a store that is away holds up no answer.
LAST_READ_SECONDS = 1.0
CANCELLED = Failure(code=Cancelled.code.value[0], message="The job was cancelled.")


class JobManager:
    """Errors: InvalidArgument (the operation is wrong), NotFound (no such job), FailedPrecondition (it has ended),
    Unavailable (the store does not answer, or the gateway shuts down)."""

    def __init__(
        self,
        store: JobStore,
        queue: TaskQueue,
        board: ProgressBus,
        sources: Sources,
        max_items: int,
        check_cost: Callable[[video_pb2.Operation], None],
        patience: RetryPolicy = RETRY_POLICY,
    ) -> None:
        """`check_cost` raises for an operation that is expected to cost more than it may."""
        self._store = store
        self._queue = queue
        self._sources = sources
        self._max_items = max_items
        self._check_cost = check_cost
        self._patience = patience
        self._closing = asyncio.Event()
        self._withdrawals: set[asyncio.Task[None]] = set()
        self.is_draining = False
        self.board = board

    async def submit(self, wanted: video_pb2.Operation) -> Job:
        """Check the operation and queue it; on return it is on disk."""
        operation.check(wanted, self._max_items)
        self._check_sources(wanted)
        self._check_cost(wanted)
        now = time.time()
        items = operation.items(wanted)
        job = Job(
            id=model.new_id(now),
            operation=operation.kind(wanted)[0],
            request=wanted.SerializeToString(),
            batch=not operation.single(wanted),
            tasks=tuple(Task(item=item) for item in items or [operation.OLDER_FORM_ID]),
            created_at=now,
        )
        try:
            await self._store.create(job)
            await self._queue.put(job)
        except BaseException:
            # The caller hears that it failed, or is gone: the job must not run all the same.
            self.withdraw(job.id)
            raise
        log.info("job queued", job=job.id, operation=job.operation, tasks=len(job.tasks))
        return job

    def withdraw(self, job_id: str) -> None:
        """Cancel a job that nobody waits for, in the background: a store that is away is asked until it answers."""
        task = asyncio.create_task(self._withdraw(job_id))
        self._withdrawals.add(task)
        task.add_done_callback(self._withdrawals.discard)

    @property
    def is_withdrawing(self) -> bool:
        """True while jobs are to be withdrawn."""
        return bool(self._withdrawals)

    async def _withdraw(self, job_id: str) -> None:
        """What was written while the store was away gets there when it is back, though its writer gave up on it."""
        deadline, is_absent = time.monotonic() + self._patience.withdraw_seconds, False
        while time.monotonic() < deadline:
            try:
                with contextlib.suppress(FailedPrecondition):  # it has ended
                    await self.cancel(job_id)
            except NotFound:
                if is_absent:
                    return
                is_absent = True  # once more: the question may have overtaken the record
            except (Unavailable, Aborted):
                is_absent = False
            else:
                return
            await asyncio.sleep(self._patience.withdraw_retry_seconds)
        log.warning("a job that was to be withdrawn may run: the store was away for too long", job=job_id)

    def _check_sources(self, wanted: video_pb2.Operation) -> None:
        for field, source in operation.inputs(operation.kind(wanted)[1]):
            try:
                self._sources.check(source)
            except InvalidArgument as error:
                raise InvalidArgument(f"{field}: {error.message}", fields={field: error.message}) from error

    async def get(self, job_id: str) -> Job:
        """The job as it is now."""
        return await self._store.get(job_id)

    async def page(self, status: Status | None, size: int, token: str) -> tuple[list[Job], str]:
        """A page of jobs, the newest first, and the token of the next one ("" at the end)."""
        if not 0 <= size <= MAX_PAGE:
            raise InvalidArgument(
                f"page_size is {size} and must be from 1 to {MAX_PAGE}.", fields={"page_size": "range"}
            )
        return await self._store.page(status, size or DEFAULT_PAGE, token)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job that has not ended."""
        refused = False

        def step(job: Job) -> Job:
            nonlocal refused
            refused = job.status.is_terminal
            return model.cancel(job, CANCELLED, time.time())

        job = await self._store.change(job_id, step)
        if refused:
            raise FailedPrecondition(f"Job is already {job.status.value.lower()}", reason="CANCEL_REFUSED")
        log.info("job cancelled", job=job_id)
        return job

    async def wait(self, job_id: str) -> Job:
        """Wait until the job has ended. Raises Unavailable when the gateway shuts down before."""
        with self._store.index.listening(job_id) as changed:
            while (job := await self.latest(job_id)) is None or not job.status.is_terminal:
                await self.next_change(changed, job_id)
        return job

    async def latest(self, job_id: str) -> Job | None:
        """The job as it is now; None while the store does not answer: the job goes on, and so does the wait for it, if
        the gateway does."""
        try:
            return await self._before_close(self._store.get(job_id), grace_seconds=LAST_READ_SECONDS)
        except Unavailable:
            return None

    async def next_change(self, changed: asyncio.Event, job_id: str) -> None:
        """Wait for the event, `recheck_seconds` at most. Raises Unavailable when the gateway shuts down."""
        await self.changed(changed)
        if self._closing.is_set():
            raise Unavailable(
                f"The gateway is shutting down; job {job_id} goes on. Ask for it again in a moment.",
                reason="SHUTTING_DOWN",
                metadata={"job_id": job_id},
            )

    async def changed(self, changed: asyncio.Event) -> None:
        """Wait for the event or for the end of the gateway, `recheck_seconds` at most."""
        await self._before_close(changed.wait(), self._patience.recheck_seconds)
        changed.clear()

    async def _before_close(
        self, work: Coroutine[Any, Any, T], seconds: float | None = None, grace_seconds: float = 0.0
    ) -> T | None:
        """What the work gives; None when the time is over, or the gateway closes and the grace is over too."""
        closing, working = asyncio.ensure_future(self._closing.wait()), asyncio.ensure_future(work)
        try:
            await asyncio.wait({closing, working}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if grace_seconds:
                await asyncio.wait({working}, timeout=grace_seconds)
            return working.result() if working.done() else None
        finally:
            # Not waited for: a store that does not answer would hold up whoever is to be told of the end.
            closing.cancel()
            working.cancel()

    def listening(self, job_id: str = "") -> "contextlib.AbstractContextManager[asyncio.Event]":
        """An event that is set when the job changes (if one is given) or the queue moves, while the block runs."""
        return self._store.index.listening(job_id, queue=True)

    def place(self, job_id: str) -> int:
        """Place of a waiting job in the queue, from 1."""
        return self._store.index.place(job_id)

    @property
    def tasks_waiting(self) -> int:
        """Tasks of all jobs that wait for an encoder."""
        return self._store.index.tasks_waiting

    @property
    def tasks_running(self) -> int:
        """Tasks of all jobs that run, on whichever gateway."""
        return self._store.index.tasks_running

    def oldest_wait_seconds(self, now: float) -> float:
        """Seconds since the oldest job was handed in of which a task waits; 0 when none does."""
        return self._store.index.oldest_wait_seconds(now)

    @property
    def closing(self) -> bool:
        """Whether the gateway shuts down: whoever waits for a job leaves it alone."""
        return self._closing.is_set()

    def close(self) -> None:
        """End every wait."""
        self._closing.set()

    async def stop(self) -> None:
        """End every wait, and what is still to be withdrawn."""
        self.close()
        await cancel_and_wait(*self._withdrawals)

"""Takes tasks from the queue when an encoder has a free slot, and sees each through to its end.

A task's message is acknowledged only after its result is stored and its record says so. Whatever happens before,
the message comes back: at once when it is given back here, by the queue's own clock after a crash. It may come while
the gateway that has the task still lives, and only its heartbeats got lost: a try changes no record that another try
has gone on with, and leaves the message to that one.
"""

import asyncio
import functools
import time

import structlog

from gateway.jetstream.queue import Delivery
from gateway.jetstream.records import UnreadableRecord
from gateway.jobs import model
from gateway.jobs.cost_guard import CostGuard
from gateway.jobs.executor import TaskExecutor, TaskTimedOut
from gateway.jobs.model import Failure, Job
from gateway.jobs.queue import Attempt, TaskQueue, TaskRef
from gateway.jobs.retry import RETRY_POLICY, RetryPolicy
from gateway.jobs.store import JobStore
from gateway.workers.base import EncoderBusy, InputFailed
from gateway.workers.pool import Pool, SlotLease
from servicekit.errors import Aborted, DataLoss, Internal, NotFound, ServiceError, Unavailable
from servicekit.tasks import cancel_and_wait, log_and_continue

log = structlog.get_logger("dispatch")

MAX_TEXT = 600


class Unexpected(Unavailable):
    """A fault of our own in a task: tried again like a lost encoder."""


class Dispatcher:
    """Runs until `drain`. A task is tried `attempts` times when encoders are lost under it, then it fails."""

    def __init__(
        self,
        store: JobStore,
        queue: TaskQueue,
        pool: Pool,
        run: TaskExecutor,
        metered: CostGuard,
        attempts: int,
        patience: RetryPolicy = RETRY_POLICY,
    ) -> None:
        self._store = store
        self._queue = queue
        self._pool = pool
        self._run = run
        self._metered = metered
        self._attempts = attempts
        self._patience = patience
        self._running: dict[asyncio.Task[bool], TaskRef] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._draining = False
        store.index.on_end(self._job_ended)

    @property
    def running(self) -> int:
        """The number of tasks that this gateway runs."""
        return len(self._running)

    def start(self) -> None:
        """Begin to take tasks."""
        self._loops = [asyncio.create_task(self._take()), asyncio.create_task(self._recover())]

    async def drain(self, seconds: float) -> None:
        """Take no more; give what runs `seconds` to end; what is left goes back to the queue, its try not counted."""
        self._draining = True
        await cancel_and_wait(*self._loops)
        if running := list(self._running):
            await asyncio.wait(running, timeout=seconds)
        self._run.begin_shutdown()
        await cancel_and_wait(*running)

    async def _take(self) -> None:
        while True:
            with log_and_continue("cannot take a task; trying again"):
                await self._take_one()
                continue
            await asyncio.sleep(self._patience.retry_seconds)

    async def _take_one(self) -> None:
        lease = await self._pool.lease()
        try:
            ref, delivery = await self._queue.next()
        except BaseException:
            lease.release()
            raise
        if ref in self._running.values():  # its heartbeats did not get through for a while; they will
            lease.release()
            return
        lease = self._pool.exchange(lease)
        task = asyncio.create_task(self._handle(ref, delivery, lease))
        self._running[task] = ref
        task.add_done_callback(functools.partial(self._ended, lease))

    def _ended(self, lease: SlotLease, task: asyncio.Task[bool]) -> None:
        ref = self._running.pop(task)
        is_busy = not task.cancelled() and task.exception() is None and task.result()
        lease.release(busy=is_busy)
        if not task.cancelled() and (error := task.exception()):
            log.error("a task's end could not be recorded; the queue brings it again", task=ref.key, exc_info=error)

    async def _recover(self) -> None:
        while True:
            with log_and_continue("cannot delete old records"):
                await self._store.prune(time.time())
            with log_and_continue("cannot check the queue"):
                await self._queue.recover(self._store)
            await asyncio.sleep(self._patience.recover_seconds)

    def _job_ended(self, job_id: str) -> None:
        """The record says that the job is over: what still runs of it was cancelled, or done by another gateway. The
        word of a task's own end may come before the answer to whoever wrote it."""
        for task, ref in self._running.items():
            if ref.job_id == job_id and not self._run.is_committing(ref) and task is not asyncio.current_task():
                task.cancel()

    async def _handle(self, ref: TaskRef, delivery: Delivery, lease: SlotLease) -> bool:
        """See a delivery to its end; whether the encoder had no place for the task."""
        tried = Attempt(ref)
        try:
            async with delivery.held():
                error = await self._attempt(tried, lease)
                await self._settle(tried, delivery, error)
                return isinstance(error, EncoderBusy)
        except asyncio.CancelledError:
            if self._draining:
                await self._give_back(tried, delivery, counted=False)
            else:
                await delivery.ack()
            raise

    async def _attempt(self, tried: Attempt, lease: SlotLease) -> ServiceError | None:
        """Run the task; the error that it ended with, or None."""
        try:
            async with self._metered.billed(tried.ref, lease.machine):
                await self._run.execute(tried, lease.encoder)
        except InputFailed as failed:
            return failed.error
        except ServiceError as error:
            return error
        except Exception:
            log.exception("unexpected error in a task", task=tried.ref.key)
            return Unexpected("Something went wrong inside the gateway; its log has more.")
        return None

    async def _settle(self, tried: Attempt, delivery: Delivery, error: ServiceError | None) -> None:
        """Write down how the task ended, then let go of its message."""
        if error is None or (isinstance(error, NotFound) and error.reason == "JOB_NOT_FOUND"):
            await delivery.ack()
        # Aborted: somebody else changed a record first.
        elif isinstance(error, EncoderBusy | Aborted) or self._is_anothers(tried):
            log.info("task given back", task=tried.ref.key, why=error.message)
            await self._give_back(tried, delivery, counted=False, delay_seconds=self._patience.busy_seconds)
        elif isinstance(error, Unavailable | DataLoss | UnreadableRecord):
            await self._try_again(tried, delivery, error)
        else:
            await self._fail(tried, delivery, error)

    def _is_anothers(self, tried: Attempt) -> bool:
        """Whether nothing was started here, and another living gateway has the task."""
        return tried.started_at is None and self._metered.is_held_elsewhere(tried.ref)

    async def _try_again(self, tried: Attempt, delivery: Delivery, error: ServiceError) -> None:
        ref = tried.ref
        tries = (await self._store.get(ref.job_id)).tasks[ref.index].attempts
        log.warning("task interrupted", task=ref.key, tries=tries, why=error.message)
        if tries < self._attempts or self._metered.is_held_elsewhere(ref):
            await self._give_back(
                tried, delivery, counted=True, delay_seconds=self._patience.retry_seconds * max(1, tries)
            )
        else:
            text = f"Given up after {tries} tries; the last one: {error.message}"
            await self._fail(tried, delivery, Internal(text))

    async def _give_back(self, tried: Attempt, delivery: Delivery, *, counted: bool, delay_seconds: float = 0) -> None:
        def step(job: Job) -> Job:
            return model.return_task(job, tried.ref.index, time.time(), counted=counted, started_at=tried.started_at)

        if self._is_anothers(tried) or tried.is_current_attempt(await self._store.change(tried.ref.job_id, step)):
            await delivery.give_back(delay_seconds)

    async def _fail(self, tried: Attempt, delivery: Delivery, error: ServiceError) -> None:
        ref = tried.ref
        failure = Failure(error.number, error.message[:MAX_TEXT], error.reason)
        timed_out = isinstance(error, TaskTimedOut)
        log.info("task failed", task=ref.key, code=error.code.name, why=error.message)

        def step(job: Job) -> Job:
            now = time.time()
            return model.fail_task(job, ref.index, failure, now, timed_out=timed_out, started_at=tried.started_at)

        if tried.is_current_attempt(await self._store.change(ref.job_id, step)):
            await delivery.ack()

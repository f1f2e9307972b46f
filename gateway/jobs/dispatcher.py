"""The dispatcher takes a task from the queue when an encoder has a free slot, and sees it through to its end.

A task whose inputs are slow to come lets go of its slot until they are there.

A task's message is acknowledged only after its result is stored and its record says so. Whatever happens before, the
message comes again: at once when it is returned here, after the queue's acknowledge wait when the gateway crashed. It
may come while the gateway that has the task is alive, and only its heartbeats were lost: an attempt changes no record
that a later attempt has changed, and leaves the message to that one.
"""

import asyncio
import contextlib
import functools
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from gateway.cluster.assignments import TaskAssignments
from gateway.jetstream.records import UnreadableRecord
from gateway.jobs import attempts, further, model
from gateway.jobs.cost_guard import CostGuard
from gateway.jobs.executor import TaskExecutor, TaskTimedOut, reap_orphaned_runs
from gateway.jobs.history import GATEWAY_STOPPED, AttemptEnd
from gateway.jobs.input_failures import all_failures
from gateway.jobs.intermediates import IntermediateCleanup
from gateway.jobs.job_log import log_end
from gateway.jobs.model import Failure, Job, LostEncoder, Task
from gateway.jobs.piece_choice import ExpectedTimes, PieceChoice
from gateway.jobs.policy import JobPolicy
from gateway.jobs.preparation import Preparation, SlotLease
from gateway.jobs.queue import Attempt, TaskQueue, TaskRef
from gateway.jobs.second_tries import SecondTries
from gateway.jobs.store import JobStore
from gateway.metrics import ATTEMPTS, ENCODER_ATTEMPTS, GONE
from gateway.sources.fetch import final_error, is_of_origin
from gateway.sources.guard import OriginBusy
from gateway.sources.spools import StillComing
from gateway.workers.base import EncodeJob, EncoderBusy, EncoderCutOff, EncoderLost, InputFailed
from gateway.workers.faults import passes
from gateway.workers.pool import Pool
from servicekit import tracing
from servicekit.errors import Aborted, Cancelled, DataLoss, Internal, NotFound, ServiceError, Unavailable
from servicekit.tasks import cancel_and_wait, log_and_continue, repeat

log = structlog.get_logger("gateway.jobs")

MAX_FAILURE_CHARACTERS = 600
# Of an encoder that needs more of an input than an outline.
OUTLINE_TOO_SMALL = "OUTLINE_TOO_SMALL"
MAX_FAILURE_FIELDS = 50


@dataclass(eq=False)
class Dispatcher:
    """Runs tasks until `drain`. One that loses its encoder is tried `max_attempts` times at most, then it fails."""

    store: JobStore
    queue: TaskQueue
    pool: Pool
    assignments: TaskAssignments
    executor: TaskExecutor
    preparation: Preparation
    cost_guard: CostGuard
    cleanup: IntermediateCleanup
    policy: JobPolicy
    running: dict[asyncio.Task[bool], Attempt] = field(default_factory=dict, init=False)
    _loops: list[asyncio.Task[None]] = field(default_factory=list, init=False)
    _unknown: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self.store.index.on_end.append(self._cancel_tasks_of)
        self.times = ExpectedTimes(self.pool, self.executor.estimates)
        self.second_tries = SecondTries(self.store, self.pool, self.executor, self.times, self._end_first)
        self.piece_choice = PieceChoice(self.store, self.queue, self.pool, self.times, self.running.values, self._unfit)
        self.queue.order.held = self._held

    def start(self) -> None:
        """Begin to take tasks."""
        recover = functools.partial(repeat, seconds=self.policy.recover_seconds)
        loops = [
            self._take_loop(),
            self.cleanup.run(self.policy.recover_seconds),
            recover("cannot delete old records", work=lambda: self.store.prune(time.time())),
            recover("cannot check the queue", work=lambda: self.queue.recover(self.store)),
            repeat("cannot count lost tasks", self.policy.lost_tasks_seconds, self._count_lost),
            repeat("cannot look for tasks that lag", self.policy.lag_seconds, self._look_for_lag),
        ]
        for encoder in self.executor.resumable:
            work = functools.partial(reap_orphaned_runs, self.store, encoder)
            loops.append(recover(f"cannot reap orphaned runs of {encoder.name}", work=work))
        self._loops = [asyncio.create_task(loop) for loop in loops]

    async def drain(self, seconds: float) -> None:
        """Take no more tasks, and give those that run `seconds` to end. The rest returns to the queue, not counted."""
        await cancel_and_wait(*self._loops)
        await self.second_tries.close()
        await self.queue.stop()
        if running := list(self.running):
            await asyncio.wait(running, timeout=seconds)
        self.executor.is_shutting_down = True
        await cancel_and_wait(*running)

    async def _take_loop(self) -> None:
        while True:
            with log_and_continue("cannot take a task; trying again"):
                await self._take()
                continue
            await asyncio.sleep(self.policy.retry_seconds)

    async def _take(self) -> None:
        if not self.executor.assets.has_room_for_results:  # work for them would be done in vain
            await asyncio.sleep(self.policy.room_seconds)
            return
        await self.pool.until_free()
        attempt = await self.queue.next()
        if any(attempt.ref == running.ref and not running.is_over for running in self.running.values()):
            return  # its heartbeats were lost for a while; they will get through
        codec = self.store.index.codec(attempt.ref.job_id, attempt.ref.index)
        slot = SlotLease.of(self.pool, unfit := self._unfit(attempt.ref), codec)
        if slot.member is None and (unfit or codec) and not self._lacks_codec(codec):
            pause_seconds = self.policy.codec_busy.pause_seconds(attempt.delivery.count)
            await attempt.delivery.give_back(pause_seconds if codec else self.policy.busy_seconds)
            return
        attempt = await self._chosen(attempt, slot)
        task = asyncio.create_task(self._handle(attempt, slot))
        self.running[task] = attempt
        task.add_done_callback(functools.partial(self._done, slot))

    async def _chosen(self, attempt: Attempt, slot: SlotLease) -> Attempt:
        """Return the attempt that is to have a slot which was leased for one."""
        if slot.member is None:
            return attempt
        try:
            chosen = await self.piece_choice.chosen(attempt, slot.member)
        except BaseException:
            slot.release()
            raise
        slot.unfit = self._unfit(chosen.ref)
        slot.codec = self.store.index.codec(chosen.ref.job_id, chosen.ref.index)
        return chosen

    def _held(self) -> Counter[str]:
        """Return the tasks in hand by account, those that are tried twice counted twice."""
        in_hand = (*(attempt.ref for attempt in self.running.values()), *self.second_tries.running)
        return self._by_account(ref.job_id for ref in in_hand)

    def _by_account(self, job_ids: Iterable[str]) -> Counter[str]:
        return Counter(account for job_id in job_ids for account in self.store.index.accounts(job_id))

    async def _count_lost(self) -> None:
        """Count the tasks that run by their records and that no living gateway has; the assignment of one that has just
        begun may not be known here yet, so those of the look before must be lost still."""
        order = self.queue.order
        known = self._by_account(TaskRef.parse(key).job_id for key in self.assignments.assigned())
        unknown = Counter(order.busy) - known
        order.lost, self._unknown = unknown & self._unknown, unknown

    def _unfit(self, ref: TaskRef) -> list[str]:
        """Return the encoders that failed this task lately by a fault of their own."""
        return self.store.index.unfit(ref.job_id, ref.index, time.time() - self.policy.elsewhere_seconds)

    def _lacks_codec(self, codec: str) -> bool:
        """Return True once there has been no encoder for too long that makes a codec."""
        return bool(codec) and self.pool.seconds_without(codec) > self.policy.codec_wait_seconds

    def _done(self, slot: SlotLease, task: asyncio.Task[bool]) -> None:
        attempt = self.running.pop(task)
        error = None if task.cancelled() else task.exception()
        slot.release(busy=not task.cancelled() and error is None and task.result())
        if error:
            with attempt.logged():
                log.error("cannot record the end of a task; it will be redelivered", exc_info=error)

    def _cancel_tasks_of(self, job_id: str) -> None:
        """Cancel what still runs of a job that has ended: it was cancelled, or another gateway completed it. A task
        that writes its own end may see it here before the store has answered, and goes on."""
        for task, attempt in self.running.items():
            if attempt.ref.job_id == job_id and attempt.ref not in self.executor.committing:
                task.cancel()
        self.second_tries.cancel(job_id)

    async def _look_for_lag(self) -> None:
        await self.second_tries.look(self.running)

    async def _end_first(self, first: Attempt) -> None:
        """End the attempt whose task a second one has done."""
        self.times.learn(first, first.share)
        await self._queue_next(first)
        for task, attempt in self.running.items():
            if attempt is first:
                task.cancel()

    async def _handle(self, attempt: Attempt, slot: SlotLease) -> bool:
        """See an attempt through until its slot is free; return True if the encoder was busy."""
        with attempt.logged():
            try:
                return await self._see_through(attempt, slot)
            finally:
                attempt.is_over = True
                await slot.until_ended(attempt.ref.key)

    async def _see_through(self, attempt: Attempt, slot: SlotLease) -> bool:
        try:
            async with attempt.delivery.keep_alive():
                error = await self._run(attempt, slot)
                self._count(attempt, _outcome(error))
                await self._settle(attempt, error, slot)
                return isinstance(error, EncoderBusy)
        except asyncio.CancelledError:
            if self.executor.is_shutting_down:
                await self._return(attempt, counted=False, end=GATEWAY_STOPPED)
            else:
                await attempt.delivery.ack()
            raise

    def _count(self, attempt: Attempt, outcome: str) -> None:
        ATTEMPTS.labels(self.store.index.operation(attempt.ref.job_id), outcome).inc()
        if name := attempt.encoder:
            ENCODER_ATTEMPTS.labels(name if name in self.pool else GONE, outcome).inc()

    async def _run(self, attempt: Attempt, slot: SlotLease) -> ServiceError | None:
        """Execute the task; return the error that it ended with, or None."""
        try:
            await self._execute(attempt, slot)
        except ServiceError as error:
            return error
        except Exception:
            log.exception("unexpected error in a task")
            # A fault of the gateway itself: retried like a lost encoder.
            return Unavailable("Something went wrong inside the gateway; its log has more.", reason="UNEXPECTED")
        return None

    async def _execute(self, attempt: Attempt, slot: SlotLease) -> None:
        """Prepare the task and execute it. Raises ServiceError."""
        ref = attempt.ref
        work = await self.executor.load(ref, is_first=attempt.delivery.count == 1)
        if work is None:
            return
        if self._lacks_codec(work.codec):
            text = f"No encoder is left with the codec {work.codec!r} of the job's other parts; submit it again."
            raise Internal(text, reason="CODEC_GONE")
        with tracing.border("task", work.traceparent):
            with tracing.span("queue", started_at=attempt.delivery.queued_at, deliveries=attempt.delivery.count):
                pass  # it has waited until now
            await self._execute_on(attempt, work, slot)

    async def _execute_on(self, attempt: Attempt, work: EncodeJob, slot: SlotLease) -> None:
        ref = attempt.ref
        try:
            async with contextlib.AsyncExitStack() as stack:
                with tracing.span("prepare inputs", inputs=len(work.inputs)):
                    inputs = await stack.enter_async_context(self.preparation.inputs(work.inputs, slot))
                member = await slot.hold(self._slot_wait_seconds(slot))
                attempt.boot_id, attempt.encoder = member.boot_id, member.encoder.name
                with self.assignments.assign(ref.key, member.instance_id):
                    async with self.cost_guard.billed(ref, member.instance_id):
                        await self.executor.execute(attempt, replace(work, inputs=inputs), member.encoder)
        except InputFailed as failed:
            if attempt.started_at is None and not self._is_anothers(attempt):
                # It counts, though no encoder was needed to find out.
                await self.executor.record_start(attempt)
            slot.release()
            raise await all_failures(failed.error, work.inputs) from failed

    def _slot_wait_seconds(self, slot: SlotLease) -> float:
        return self.policy.prepared_wait_seconds if slot.was_given_back else self.policy.slot_wait_seconds

    async def _settle(self, attempt: Attempt, error: ServiceError | None, slot: SlotLease) -> None:
        """Record how the task ended, then let go of its message."""
        if error is None:
            self.times.learn(attempt)
            await self._queue_next(attempt)
            await attempt.delivery.ack()
        elif isinstance(error, NotFound) and error.reason == "JOB_NOT_FOUND":
            await attempt.delivery.ack()
        elif error.reason == OUTLINE_TOO_SMALL and not await self._has_whole_inputs(attempt):
            # Nothing went wrong: it goes on with all of its inputs, and is told as one attempt.
            await self._return(attempt, counted=False, whole_inputs=True)
        elif isinstance(error, OriginBusy):
            again = self.policy.origin_busy.pause_seconds(attempt.delivery.count)
            pause_seconds = error.retry_seconds if isinstance(error, StillComing) else again
            await self._return(attempt, counted=False, delay_seconds=pause_seconds or again, end=_end_of(error))
        # Aborted: another gateway changed a record first.
        elif isinstance(error, EncoderBusy | Aborted) or self._is_anothers(attempt):
            log.info("task returned to the queue", encoder=attempt.encoder, error=error.message)
            await self._return(attempt, counted=False, delay_seconds=self.policy.busy_seconds, end=_end_of(error))
        elif isinstance(error, Unavailable | DataLoss | UnreadableRecord) or passes(error):
            await self._try_again(attempt, error, slot)
        else:
            await self._fail(attempt, error)

    async def _queue_next(self, attempt: Attempt) -> None:
        """Queue the tasks of a graph that waited for this one. Where it fails, the message comes again, and with it
        this."""
        job_id = attempt.ref.job_id
        if self.store.index.is_graph(job_id):
            with contextlib.suppress(NotFound, UnreadableRecord):
                job = await self.store.get(job_id)
                await self.queue.put(job, further.queued_after(job, attempt.ref.index))

    async def _has_whole_inputs(self, attempt: Attempt) -> bool:
        """Return True if the attempt was given no outlines."""
        return (await self.store.get(attempt.ref.job_id)).tasks[attempt.ref.index].whole_inputs

    def _is_anothers(self, attempt: Attempt) -> bool:
        """Return True if nothing was started here, and another living gateway has the task."""
        return attempt.started_at is None and self.assignments.is_assigned_elsewhere(attempt.ref.key)

    async def _try_again(self, attempt: Attempt, error: ServiceError, slot: SlotLease) -> None:
        ref = attempt.ref
        task = (await self.store.get(ref.job_id)).tasks[ref.index]
        log.warning("task interrupted", encoder=attempt.encoder, attempts=task.attempts, error=error.message)
        unfit = slot.encoder_name if isinstance(error, EncoderLost) and error.is_unfit else ""
        if passes(error):
            lost = await self._lost_encoder(attempt, error, slot)
            is_over, pause_seconds = (
                attempts.is_over(task, self.policy, time.time()),
                attempts.pause_seconds(task, self.policy),
            )
            changes: dict[str, Any] = {"counted": False, "is_interrupted": True, "lost": lost}
        else:
            is_over = task.attempts >= self.policy.max_attempts
            pause_seconds, changes = self.policy.retry_seconds * max(1, task.attempts), {"counted": True}
        if not is_over or self.assignments.is_assigned_elsewhere(ref.key):
            await self._return(attempt, delay_seconds=pause_seconds, unfit=unfit, end=_end_of(error), **changes)
        else:
            await self._give_up(attempt, error, task)

    async def _lost_encoder(self, attempt: Attempt, error: ServiceError, slot: SlotLease) -> LostEncoder | None:
        """Return the encoder that the connection to broke, if one did, and that may have ended: it is asked."""
        if not isinstance(error, EncoderCutOff):
            return None
        self.pool.doubt(slot.encoder_name)
        if await self.pool.boot_id_soon(slot.encoder_name, self.policy.doubt_seconds) == attempt.boot_id:
            return None
        return LostEncoder(slot.encoder_name, attempt.boot_id, time.time())

    async def _give_up(self, attempt: Attempt, error: ServiceError, task: Task) -> None:
        interrupted = task.interruptions.count if task.interruptions else 0
        text = f"Given up after {task.attempts + interrupted} tries; the last one: {error.message}"
        reason = "GIVEN_UP" if error.reason == error.default_reason else error.reason
        await self._fail(attempt, error if is_of_origin(error) else Internal(text, reason=reason))

    async def _return(self, attempt: Attempt, *, delay_seconds: float = 0, **changes: Any) -> None:
        """Return the task to the queue; `changes` are those of model.return_task."""
        index, started_at = attempt.ref.index, attempt.started_at

        def step(job: Job) -> Job:
            return model.return_task(job, index, time.time(), started_at=started_at, **changes)

        if self._is_anothers(attempt) or attempt.is_current_attempt(await self.store.update(attempt.ref.job_id, step)):
            await attempt.delivery.give_back(delay_seconds)

    async def _fail(self, attempt: Attempt, error: ServiceError) -> None:
        ref, error = attempt.ref, final_error(error)
        fields = tuple(error.fields.items())[:MAX_FAILURE_FIELDS]
        failure = Failure(error.number, error.message[:MAX_FAILURE_CHARACTERS], error.reason, fields)
        timed_out = isinstance(error, TaskTimedOut)
        event = "task cancelled" if isinstance(error, Cancelled) else "task failed"
        log.info(event, encoder=attempt.encoder, code=error.code.name, error=error.message)

        def step(job: Job) -> Job:
            now = time.time()
            return model.fail_task(job, ref.index, failure, now, timed_out=timed_out, started_at=attempt.started_at)

        with self.executor.ending(ref):
            job = await self.store.update(ref.job_id, step)
            if attempt.is_current_attempt(job):
                log_end(job)
                await self.executor.delete_orphaned_results(ref, job)
                await attempt.delivery.ack()


def _end_of(error: ServiceError) -> AttemptEnd:
    return AttemptEnd(error.reason, error.message)


def _outcome(error: ServiceError | None) -> str:
    """Return how an attempt ended, for the metrics."""
    if error is None:
        return "completed"
    if isinstance(error, EncoderBusy | OriginBusy | Aborted) or error.reason == OUTLINE_TOO_SMALL:
        return "returned"
    if isinstance(error, TaskTimedOut):
        return "timed_out"
    return "interrupted" if isinstance(error, Unavailable | DataLoss) or passes(error) else "failed"

"""The executor runs one task on one encoder: inputs from sources, progress to subscribers, results to assets."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.store import AssetStore
from gateway.fleet.estimates import EstimateStore
from gateway.jetstream.records import UnreadableRecord
from gateway.jobs import attempts, further, graph, job_log, model, names, operation, task_inputs
from gateway.jobs.attempts import BootIds
from gateway.jobs.ffmpeg_log import FfmpegLogs
from gateway.jobs.further import Expansion
from gateway.jobs.model import Job, Status
from gateway.jobs.policy import JobPolicy
from gateway.jobs.progress import Phase, ProgressBus, TaskProgress
from gateway.jobs.queue import Attempt, TaskRef
from gateway.jobs.results import TaskResults, delete_orphaned_results, delete_result, stored_result
from gateway.jobs.store import JobStore
from gateway.metrics import WAIT_SECONDS, count_result
from gateway.sources import Sources
from gateway.workers.base import EncodeJob, Encoder, EncoderBusy, ResumableEncoder
from servicekit import tracing
from servicekit.chunks import Data
from servicekit.errors import Aborted, Cancelled, DeadlineExceeded, NotFound, ServiceError, Unavailable
from servicekit.tasks import run_to_completion

log = structlog.get_logger("gateway.jobs")


class TaskTimedOut(DeadlineExceeded, reason="TASK_TIMEOUT"):
    """The task as a whole took too long (not one of its inputs)."""


@dataclass(frozen=True)
class MadeResult:
    """What an attempt made: its result as it is stored, and what the job goes on with."""

    result: model.Result
    expansion: Expansion | None
    is_put_by_link: bool
    max_files: int


@dataclass(eq=False)
class TaskExecutor:
    """Executes tasks. One that an encoder of `resumable` can resume goes there, whichever encoder is free.

    Errors: those of `Encoder.run`, TaskTimedOut, Cancelled (the job has ended), NotFound (no such job).
    """

    store: JobStore
    progress: ProgressBus
    sources: Sources
    assets: AssetStore
    policy: JobPolicy
    check_cost: Callable[[Job], None]
    resumable: Sequence[ResumableEncoder]
    boot_ids: BootIds
    estimates: EstimateStore
    # Where what FFmpeg said is kept.
    logs: FfmpegLogs
    # How many machines could work side by side.
    workers: Callable[[], int] = lambda: 0
    # Runs that are cancelled from now on are left to the next gateway, where they can go on.
    is_shutting_down: bool = field(default=False, init=False)
    # Tasks whose ends are being recorded.
    committing: set[TaskRef] = field(default_factory=set, init=False)

    async def load(self, ref: TaskRef, *, is_first: bool = False) -> EncodeJob | None:
        """Return the task for an encoder; None for one that has ended. Raises what attempts.check raises.

        One whose message comes for the first time is taken as it was seen last: should it have changed since, its start
        is not recorded.
        """
        job = (self.store.seen_ready(ref.job_id, ref.index) if is_first else None) or await self.store.get(ref.job_id)
        job_log.learn(job)
        task = job.tasks[ref.index]
        if task.status.is_terminal:
            await self.delete_orphaned_results(ref, job)  # its gateway was killed before it came to that
            return None
        attempts.check(task, self.boot_ids, self.policy, time.time())
        return replace(self._encode_job(ref, job), traceparent=job.traceparent)

    async def execute(self, attempt: Attempt, work: EncodeJob, encoder: Encoder) -> None:
        """Execute the task; on return its result is stored and its record says COMPLETED."""
        ref = attempt.ref
        if not attempt.is_second:
            encoder = await self._resuming(ref) or encoder
            attempt.encoder = encoder.name
        with tracing.span("encode", tracing.CLIENT, encoder=encoder.name):
            made = await self._encode(attempt, work, encoder)
        with self.ending(ref):
            await run_to_completion(self._commit(attempt, encoder, made))

    @contextlib.contextmanager
    def ending(self, ref: TaskRef) -> Iterator[None]:
        """Have the end of the task recorded in the block, which is not to be told of it as of another's."""
        self.committing.add(ref)
        try:
            yield
        finally:
            self.committing.discard(ref)

    async def delete_orphaned_results(self, ref: TaskRef, job: Job) -> None:
        """Delete what attempts at a task that has ended stored, and its record does not name."""
        task = job.tasks[ref.index]
        if not task.attempt_id:
            return
        wanted = None if task.planner is not None else graph.task_operation(job, ref.index)
        is_known = wanted is not None and operation.is_known(wanted)
        max_files = operation.rules(operation.kind(wanted)[1]).files if wanted is not None and is_known else 0
        await delete_orphaned_results(self.assets, task, max_files)

    async def _resuming(self, ref: TaskRef) -> Encoder | None:
        """Return the encoder that an earlier gateway left a run of the task with."""
        for encoder in self.resumable:
            if await encoder.can_resume(ref.key):
                return encoder
        for encoder in self.resumable:  # a run that nobody came to know of must not work beside the next one
            await encoder.release(ref.key)
        return None

    async def _encode(self, attempt: Attempt, work: EncodeJob, encoder: Encoder) -> "MadeResult":
        """Return what the encoder made, its result stored."""
        opened = TaskResults.open(self.assets, work.filename, work.max_files, work.tenant, attempt.id)
        async with opened as results:
            try:
                # No limit until it has started: an encoder has limits of its own for the wait.
                async with asyncio.timeout(None) as limit:
                    callbacks = TaskCallbacks(self, attempt, results, limit)
                    outcome = await encoder.run(work, callbacks)
                    if not outcome.asset_id:
                        outcome = replace(outcome, summary=await results.compose(outcome.summary, work.inputs))
            except TimeoutError as error:
                text = f"The task took longer than {self.policy.max_task_seconds:g} s; give it less to do."
                raise TaskTimedOut(text) from error
            except DeadlineExceeded as error:
                raise TaskTimedOut(error.message) from error
            except EncoderBusy:
                await callbacks.waiting(is_starting=False)
                raise
            except ServiceError as error:
                await self.logs.note(attempt.ref, attempt.encoder, error.log)
                raise
            await self.logs.note(attempt.ref, attempt.encoder, outcome.summary.log)
            count_result(self.store.index.operation(attempt.ref.job_id), outcome.summary)
            expansion = await self._expansion(attempt.ref, outcome.summary, work.versions)
            if outcome.asset_id:
                result = stored_result(outcome.summary, outcome.asset_id, outcome.file_ids)
            else:
                with tracing.span("store results", bytes=outcome.summary.size_bytes):
                    result = await results.commit(outcome.summary)
                self.store.index.followers.offer(attempt.ref.job_id, result.asset, results.small)
            return MadeResult(result, expansion, bool(outcome.asset_id), work.max_files)

    async def _expansion(
        self, ref: TaskRef, summary: encoder_pb2.Summary, versions: Mapping[str, str]
    ) -> Expansion | None:
        """Return the tasks that the job is to go on with, held against the job. Raises Internal, InvalidArgument,
        and FailedPrecondition where it costs more than it may."""
        if not summary.further:
            return None
        job = await self.store.get(ref.job_id)
        found = further.expansion(job, ref.index, summary, versions)
        expanded = further.complete_task(job, ref.index, model.Result("", 0), time.time(), found)
        self.store.check_size(expanded)
        self.check_cost(expanded)
        return found

    async def record_start(self, attempt: Attempt) -> None:
        """Record the start of an attempt, which counts from now on. Raises Cancelled."""
        ref = attempt.ref
        started = self._started_second if attempt.is_second else self._started
        job = await self.store.update(ref.job_id, lambda job: started(job, attempt))
        if (status := job.tasks[ref.index].status).is_terminal:
            raise Cancelled(f"The task has ended already, as {status.value}.")
        log.info("task started", encoder=attempt.encoder, attempts=job.tasks[ref.index].attempts)
        attempt.begun_at = time.time()
        attempt.started_at, attempt.piece = job.tasks[ref.index].started_at, further.piece(job, ref.index)
        if job.started_at == attempt.started_at:  # it is the first of the job
            WAIT_SECONDS.labels(job.operation).observe(job.delay_ms(time.time()) / 1000)

    def _started(self, job: Job, attempt: Attempt) -> Job:
        index = attempt.ref.index
        task = attempts.without_answered(job.tasks[index], self.boot_ids)
        kept = job if task is job.tasks[index] else model.with_task(job, index, interruptions=task.interruptions)
        return model.start_task(kept, index, time.time(), attempt.id, attempt.encoder)

    def _started_second(self, job: Job, attempt: Attempt) -> Job:
        """Note the attempt as one that may leave a result behind; the task goes on with the other."""
        task = job.tasks[attempt.ref.index]
        if task.status.is_terminal:
            return job
        superseded = (*task.superseded, attempt.id)[-model.MAX_LOST :]
        return model.with_task(job, attempt.ref.index, superseded=superseded)

    def _encode_job(self, ref: TaskRef, job: Job) -> EncodeJob:
        task, filename = job.tasks[ref.index], names.result_name(job, ref.index)
        if task.planner is not None:
            part, found = further.part(job, ref.index)
            composes = further.composes(job, ref.index) and not task.whole_inputs
            inputs = [task_inputs.of_part(self.sources, job, one, composes=composes) for one in found]
            return EncodeJob(
                ref.key,
                None,
                inputs,
                filename,
                part=part,
                codec=task.needs_codec,
                tenant=job.tenant,
                play_order=further.play_order(job, ref.index),
            )
        wanted = graph.task_operation(job, ref.index)
        if not operation.is_known(wanted):
            raise EncoderBusy(f"Job {job.id} is of an operation that only a gateway of a later version knows.")
        _, message = operation.kind(wanted)
        workers = self.workers()
        inputs = task_inputs.of_operation(self.sources, job, task, message, workers)
        return EncodeJob(
            ref.key,
            wanted,
            inputs,
            filename,
            operation.rules(message).files,
            tenant=job.tenant,
            workers=workers,
            is_watched=job.preview,
        )

    async def _commit(self, attempt: Attempt, encoder: Encoder, made: "MadeResult") -> None:
        """Record the result, or delete it. Must not be cancelled half-way: a record that was written while nobody
        waited for the answer names the assets."""
        is_kept = False
        try:
            task = await self._record(attempt, made)
            is_kept = task.asset == made.result.asset
            if is_kept:
                _log_completed(attempt, encoder.name, task)
        except ServiceError as error:
            # The next attempt finds a result that came by link. After a lost answer the record may name the assets:
            # they expire.
            is_kept = made.is_put_by_link or isinstance(error, Unavailable)
            raise
        finally:
            if not is_kept:
                await delete_result(self.assets, made.result)
        await encoder.release(attempt.ref.key)
        await delete_orphaned_results(self.assets, task, made.max_files)

    async def _record(self, attempt: Attempt, made: "MadeResult") -> model.Task:
        """Record the result, and what the job goes on with; return the task, which may have ended before: cancelled, or
        completed by another gateway.

        A store that is away for a moment, or a record that others change all the time, must not cost a finished encode.
        """
        ref = attempt.ref

        def step(job: Job) -> Job:
            now = time.time()
            if attempt.is_second:
                job = model.overtake(job, ref.index, now, attempt.begun_at, attempt.encoder)
            return further.complete_task(job, ref.index, made.result, now, made.expansion)

        deadline = time.monotonic() + self.policy.record_seconds
        while True:
            try:
                job = await self.store.update(ref.job_id, step)
            except (Unavailable, Aborted):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(self.policy.record_retry_seconds)
                continue
            if not attempt.is_second:  # the record has the start of the other
                self._learn(job, ref.index)
            job_log.log_end(job)
            return job.tasks[ref.index]

    def _learn(self, job: Job, index: int) -> None:
        """Note how long a task took; the frames of one that only planned are made by others, and those that are copied
        take no time to speak of. Parts of a film are foretold by the frames that they have, copied or not."""
        task = job.tasks[index]
        if task.status is Status.COMPLETED and task.started_at is not None:
            made = task.frames - (0 if task.frames_planned else task.frames_copied)
            frames = made if task.answer is None else 0
            is_rented = bool(task.usage) and (task.usage[-1].ended_at or math.inf) > task.started_at
            self.estimates.task_ended(job.kind(index), time.time() - task.started_at, frames, is_rented=is_rented)


def _log_completed(attempt: Attempt, encoder: str, task: model.Task) -> None:
    seconds = round(time.time() - (attempt.started_at or time.time()), 3)
    facts = {"encoder": encoder, "codec": task.codec, "seconds": seconds, "frames": task.frames}
    log.info("task completed", bytes=task.size_bytes, **facts)


async def reap_orphaned_runs(store: JobStore, encoder: ResumableEncoder) -> None:
    """Cancel runs, and delete results, that are left of tasks which ended while no gateway followed them. Results that
    a record names stay."""
    for key in await encoder.resumable_tasks():
        ref = TaskRef.parse(key)
        try:
            task = (await store.get(ref.job_id)).tasks[ref.index]
        except NotFound:
            await encoder.abandon(key, "")
            continue
        except UnreadableRecord:
            continue
        if task.status.is_terminal:
            await encoder.abandon(key, task.asset)


@dataclass(frozen=True)
class TaskCallbacks:
    """Implements workers.base.Events. The limit of a task's time counts from its start, not from its wait for a
    worker."""

    executor: TaskExecutor
    attempt: Attempt
    results: TaskResults
    limit: asyncio.Timeout

    @property
    def is_shutting_down(self) -> bool:
        """True if a run that is cancelled now may go on without this gateway."""
        return self.executor.is_shutting_down

    async def waiting(self, *, is_starting: bool, reason: str = "") -> None:
        """Publish that the task waits for a worker, and why."""
        phase = Phase.COLD_START if is_starting else Phase.WAITING_FOR_WORKER
        await self._publish(TaskProgress(phase, reason=reason))

    async def started(self) -> None:
        """Record the start of the attempt. Raise Cancelled if the job has ended."""
        # Not cancelled half-way: the write would take effect after the task was returned to the queue, and count.
        await run_to_completion(self.executor.record_start(self.attempt))
        self.limit.reschedule(asyncio.get_running_loop().time() + self.executor.policy.max_task_seconds)
        await self._publish(TaskProgress(Phase.ENCODING))

    async def progress(self, progress: encoder_pb2.EncodeProgress) -> None:
        """Publish the progress of the encode."""
        done, total = progress.frames_done, progress.frames_total
        self.attempt.share = min(done / total, 1.0) if total > 0 else 0.0
        await self._publish(TaskProgress(Phase.ENCODING, done, total, round(progress.fps, 2)))

    async def chunk(self, data: Data) -> None:
        """Store the next bytes of a result."""
        await self.results.write(data)

    async def file(self, name: str, content_type: str) -> None:
        """Have the next bytes go to a further result."""
        await self.results.begin_file(name, content_type)

    async def _publish(self, progress: TaskProgress) -> None:
        if not self.attempt.is_second:
            await self.executor.progress.publish(self.attempt.ref, progress)

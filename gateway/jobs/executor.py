"""One task on one encoder: inputs from their sources, progress to the board, the result to the assets."""

import asyncio
import functools
import time
from collections.abc import Sequence

from apigpu.v1 import video_pb2
from gateway.assets.store import AssetStore
from gateway.jobs import model, operation
from gateway.jobs.model import Job
from gateway.jobs.progress import ProgressBus
from gateway.jobs.queue import Attempt, TaskRef
from gateway.jobs.results import TaskResults, delete_result, stored_result
from gateway.jobs.retry import RETRY_POLICY, RetryPolicy
from gateway.jobs.store import JobStore
from gateway.jobs.task_callbacks import TaskCallbacks
from gateway.sources import Sources
from gateway.workers.base import EncodeJob, Encoder, EncoderBusy, Input, Outcome, ResumableEncoder
from servicekit.errors import Aborted, DeadlineExceeded, Internal, ServiceError, Unavailable
from servicekit.tasks import run_to_completion


class TaskTimedOut(DeadlineExceeded):
    """The task as a whole took too long (not one of its inputs)."""


class TaskExecutor:
    """Runs tasks. Raises what base.Encoder.run raises, TaskTimedOut, Cancelled (the job is over), NotFound (no job)."""

    def __init__(
        self,
        store: JobStore,
        board: ProgressBus,
        sources: Sources,
        assets: AssetStore,
        max_task_seconds: float,
        attempts: int,
        resumable: Sequence[ResumableEncoder] = (),
        patience: RetryPolicy = RETRY_POLICY,
    ) -> None:
        """A task that one of `resumable` can resume goes there, whichever encoder is free."""
        self._store = store
        self._board = board
        self._sources = sources
        self._assets = assets
        self._max_task_seconds = max_task_seconds
        self._attempts = attempts
        self._resumable = resumable
        self._patience = patience
        self._is_leaving = False
        self._committing: set[TaskRef] = set()

    def begin_shutdown(self) -> None:
        """This gateway stops: runs that are cancelled from now on leave to the next one what can go on."""
        self._is_leaving = True

    async def execute(self, tried: Attempt, encoder: Encoder) -> None:
        """Run the task; on return its result is stored and its record says COMPLETED. The try is told its start."""
        ref = tried.ref
        job = await self._store.get(ref.job_id)
        task = job.tasks[ref.index]
        if task.status.is_terminal:
            return
        if task.attempts >= self._attempts:
            raise Internal(f"Given up after {task.attempts} tries; each time the gateway ended in the middle of it.")
        encoder = await self._resuming(ref) or encoder
        outcome, result = await self._encode(tried, job, encoder)
        self._committing.add(ref)
        try:
            await run_to_completion(self._keep(ref, encoder, outcome, result))
        finally:
            self._committing.discard(ref)

    def is_committing(self, ref: TaskRef) -> bool:
        """Whether the task's result is being written down: it is over but for that."""
        return ref in self._committing

    async def _resuming(self, ref: TaskRef) -> Encoder | None:
        """Return the encoder that an earlier gateway left a run of the task with."""
        for encoder in self._resumable:
            if await encoder.can_resume(ref.key):
                return encoder
        for encoder in self._resumable:  # a run that nobody came to know of must not work beside the next one
            await encoder.release(ref.key)
        return None

    async def _keep(self, ref: TaskRef, encoder: Encoder, outcome: Outcome, result: model.Result) -> None:
        """Write the result down, or leave nothing of it. To be run whole: a record that was written while nobody waited
        for the answer names the asset."""
        is_kept = False
        try:
            is_kept = await self._record(ref, result)
        except ServiceError as error:
            # What came by link is found by the next try. Without an answer the record may name the asset: it expires.
            is_kept = bool(outcome.asset_id) or isinstance(error, Unavailable)
            raise
        finally:
            if not is_kept:
                await delete_result(self._assets, result)
        await encoder.release(ref.key)

    async def _record(self, ref: TaskRef, result: model.Result) -> bool:
        """Write down the result; False when the task had ended before: cancelled, or done by another gateway.

        A store that is away for a moment, or a record that others change all the time, must not cost a finished encode.
        """

        def step(job: Job) -> Job:
            return model.complete_task(job, ref.index, result, time.time())

        deadline = time.monotonic() + self._patience.record_seconds
        while True:
            try:
                return (await self._store.change(ref.job_id, step)).tasks[ref.index].asset == result.asset
            except (Unavailable, Aborted):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(self._patience.record_retry_seconds)

    async def _encode(self, tried: Attempt, job: Job, encoder: Encoder) -> tuple[Outcome, model.Result]:
        """Return the outcome, and the result as it is stored."""
        work = self._encode_job(tried.ref, job)
        async with TaskResults(self._assets, work.filename, work.max_files) as results:
            try:
                # None until it has started: an encoder has limits of its own for the wait.
                async with asyncio.timeout(None) as limit:
                    events = TaskCallbacks(
                        tried,
                        self._store,
                        self._board,
                        results,
                        limit,
                        self._max_task_seconds,
                        lambda: self._is_leaving,
                    )
                    outcome = await encoder.run(work, events)
            except TimeoutError as error:
                text = f"The task took longer than {self._max_task_seconds:g} s; give it less to do."
                raise TaskTimedOut(text) from error
            except DeadlineExceeded as error:
                raise TaskTimedOut(error.message) from error
            except EncoderBusy:
                await events.waiting(is_starting=False)
                raise
            if outcome.asset_id:
                return outcome, stored_result(outcome.summary, outcome.asset_id, outcome.file_ids)
            return outcome, await results.commit(outcome.summary)

    def _encode_job(self, ref: TaskRef, job: Job) -> EncodeJob:
        wanted = operation.task_operation(video_pb2.Operation.FromString(job.request), ref.index)
        inputs = [
            Input(source.path, source.text, functools.partial(self._sources.open, source.text), source.also)
            for source in operation.distinct_inputs(operation.kind(wanted)[1])
        ]
        name, max_files = model.result_name(job, ref.index), operation.max_files(wanted)
        return EncodeJob(ref.key, wanted, inputs, name, max_files)

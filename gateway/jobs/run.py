"""One task on one encoder: inputs from their sources, progress to the board, the result to the assets."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from gateway.assets.store import AssetStore, StoredAsset
from gateway.encoders.base import EncodeJob, Encoder, Input
from gateway.jobs import model, operation
from gateway.jobs.board import Board, TaskProgress
from gateway.jobs.model import Job
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from gateway.sources import Sources
from rpc.errors import Cancelled, DeadlineExceeded, Internal, ServiceError, Unavailable

RECORD_SECONDS = 60.0
RECORD_RETRY_SECONDS = 0.5


class TaskTimedOut(DeadlineExceeded):
    """The task as a whole took too long (not one of its inputs)."""


class TaskRun:
    """Runs tasks. Raises what base.Encoder.run raises, TaskTimedOut, Cancelled (the job is over), NotFound (no job)."""

    def __init__(
        self,
        store: JobStore,
        board: Board,
        sources: Sources,
        assets: AssetStore,
        max_task_seconds: float,
        attempts: int,
    ) -> None:
        self._store = store
        self._board = board
        self._sources = sources
        self._assets = assets
        self._max_task_seconds = max_task_seconds
        self._attempts = attempts

    async def __call__(self, ref: TaskRef, encoder: Encoder) -> None:
        """Run the task; on return its result is stored and its record says COMPLETED."""
        job = await self._store.get(ref.job_id)
        task = job.tasks[ref.index]
        if task.status.ended:
            return
        if task.attempts >= self._attempts:
            raise Internal(f"Given up after {task.attempts} tries; each time the gateway ended in the middle of it.")
        asset, summary = await self._encode(ref, job, encoder)
        recorded = False
        try:
            recorded = await self._record(ref, asset.name, summary)
        finally:
            if not recorded:
                await asyncio.shield(self._drop(asset.id))

    async def _record(self, ref: TaskRef, asset: str, summary: encoder_pb2.Summary) -> bool:
        """Write down the result; False when the task had ended before: cancelled, or done by another gateway.

        A store that is away for a moment must not cost a finished encode.
        """

        warnings = tuple(model.Warning(w.reason, w.message, dict(w.metadata)) for w in summary.warnings)
        result = model.Result(asset, summary.frames, summary.codec, summary.codec_reason, warnings)

        def step(job: Job) -> Job:
            return model.complete_task(job, ref.index, result, time.time())

        deadline = time.monotonic() + RECORD_SECONDS
        while True:
            try:
                return (await self._store.change(ref.job_id, step)).tasks[ref.index].asset == asset
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RECORD_RETRY_SECONDS)

    async def _drop(self, asset_id: str) -> None:
        with contextlib.suppress(ServiceError):
            await self._assets.delete(asset_id)

    async def _encode(self, ref: TaskRef, job: Job, encoder: Encoder) -> tuple[StoredAsset, encoder_pb2.Summary]:
        async with self._assets.create(model.result_name(job, ref.index)) as writer:
            try:
                async with asyncio.timeout(self._max_task_seconds):
                    summary = await encoder.run(
                        self._encode_job(ref, job), self._starter(ref), self._reporter(ref), writer.write
                    )
            except TimeoutError as error:
                limit = f"{self._max_task_seconds:g} s"
                raise TaskTimedOut(f"The task took longer than {limit}; give it less to do.") from error
            except DeadlineExceeded as error:
                raise TaskTimedOut(error.message) from error
            return await writer.commit(size_bytes=summary.size_bytes, sha256=summary.sha256), summary

    def _encode_job(self, ref: TaskRef, job: Job) -> EncodeJob:
        wanted = operation.task_operation(video_pb2.Operation.FromString(job.request), ref.index)
        inputs = [
            Input(field, lambda source=source: self._sources.open(source))  # type: ignore[misc]
            for field, source in operation.inputs(operation.kind(wanted)[1])
        ]
        return EncodeJob(ref.key, wanted, inputs)

    def _starter(self, ref: TaskRef) -> Callable[[], Awaitable[None]]:
        async def start() -> None:
            job = await self._store.change(ref.job_id, lambda job: model.start_task(job, ref.index, time.time()))
            if job.tasks[ref.index].status.ended:
                raise Cancelled("The job was cancelled.")

        return start

    def _reporter(self, ref: TaskRef) -> Callable[[encoder_pb2.EncodeProgress], Awaitable[None]]:
        async def report(progress: encoder_pb2.EncodeProgress) -> None:
            await self._board.announce(
                ref, TaskProgress(progress.frames_done, progress.frames_total, round(progress.fps, 2))
            )

        return report

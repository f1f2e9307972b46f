"""What an encoder tells of a task: its start goes to the record, its result to the store, the rest to the board."""

import asyncio
import time
from collections.abc import Callable

from apigpu.encoder.v1 import encoder_pb2
from gateway.jobs import model
from gateway.jobs.progress import Phase, ProgressBus, TaskProgress
from gateway.jobs.queue import Attempt
from gateway.jobs.results import TaskResults
from gateway.jobs.store import JobStore
from servicekit.errors import Cancelled


class TaskCallbacks:
    """See encoders.base.Events. The time that a task may take counts from its start, not from its wait for a worker."""

    def __init__(
        self,
        tried: Attempt,
        store: JobStore,
        board: ProgressBus,
        results: TaskResults,
        limit: asyncio.Timeout,
        max_task_seconds: float,
        leaving: Callable[[], bool],
    ) -> None:
        self._try = tried
        self._ref = tried.ref
        self._store = store
        self._board = board
        self._limit = limit
        self._max_task_seconds = max_task_seconds
        self._leaving = leaving
        self.chunk = results.write
        self.file = results.begin_file

    @property
    def is_leaving(self) -> bool:
        """See encoders.base.Events."""
        return self._leaving()

    async def waiting(self, *, is_starting: bool) -> None:
        """See encoders.base.Events."""
        phase = Phase.COLD_START if is_starting else Phase.WAITING_FOR_WORKER
        await self._board.publish(self._ref, TaskProgress(phase))

    async def started(self) -> None:
        """See encoders.base.Events. Raises Cancelled when the job is over."""
        ref = self._ref
        job = await self._store.change(ref.job_id, lambda job: model.start_task(job, ref.index, time.time()))
        if job.tasks[ref.index].status.is_terminal:
            raise Cancelled("The job was cancelled.")
        self._try.started_at = job.tasks[ref.index].started_at
        self._limit.reschedule(asyncio.get_running_loop().time() + self._max_task_seconds)
        await self._board.publish(ref, TaskProgress(Phase.ENCODING))

    async def progress(self, progress: encoder_pb2.EncodeProgress) -> None:
        """See encoders.base.Events."""
        done, total = progress.frames_done, progress.frames_total
        await self._board.publish(self._ref, TaskProgress(Phase.ENCODING, done, total, round(progress.fps, 2)))

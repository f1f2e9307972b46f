"""The cost of jobs: estimated before they start, recorded and limited while they run on rented instances."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from apigpu.v1 import video_pb2
from gateway.fleet.billing import UsageInterval
from gateway.fleet.fleet import Fleet
from gateway.jobs import operation, usage
from gateway.jobs.model import Job
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from gateway.workers.base import EncoderBusy
from gateway.workers.pool import Pool
from servicekit.errors import DataLoss, FailedPrecondition, ServiceError, Unavailable
from servicekit.tasks import run_to_completion

COST_LIMIT = "COST_LIMIT"


@dataclass(frozen=True)
class CostGuard:
    """Holds jobs to their `max_cost_usd`; while one runs, every `check_seconds`."""

    store: JobStore
    fleet: Fleet
    pool: Pool
    check_seconds: float

    def check(self, job: Job) -> None:
        """Raise FailedPrecondition (COST_LIMIT) for a job that is expected to cost more than it may: what it has cost,
        and the tasks that are left. Encoders of one's own cost nothing: where one answers, a job may wait for it."""
        max_usd = operation.budget(video_pb2.Operation.FromString(job.request))
        if max_usd is None or any(member.ready and not member.is_rented for member in self.pool.members):
            return
        left = (index for index, task in enumerate(job.tasks) if not task.status.is_terminal)
        expected_usd = self.fleet.expected_usd(Counter(map(job.kind, left)))
        if expected_usd is None:
            return
        so_far = self.fleet.registry.cost(job.usage, time.time()) if job.usage else None
        expected_usd += so_far.usd if so_far else 0.0
        if expected_usd > max_usd:
            raise FailedPrecondition(
                f"max_cost_usd is {max_usd:g}, and the job is expected to cost {expected_usd:.4f}; allow more.",
                reason=COST_LIMIT,
                fields={"max_cost_usd": f"{expected_usd:.4f} expected"},
                metadata={"expected_usd": f"{expected_usd:.6f}"},
            )

    @contextlib.asynccontextmanager
    async def billed(self, ref: TaskRef, instance: str) -> AsyncIterator[None]:
        """Bill the job for the instance ("": an encoder of one's own, which costs nothing) while the block runs.

        Raise EncoderBusy if the instance terminates, before or meanwhile; FailedPrecondition (COST_LIMIT) once the job
        has come to cost more than it may.
        """
        if not instance:
            yield
            return
        begun_at, has_begun = time.time(), True
        await self.fleet.registry.begin_run(instance, ref.key, begun_at)
        try:
            interval = UsageInterval(instance, begun_at)
            # Not cancelled half-way: the write would take effect after the end was recorded, and leave the usage open.
            begin = self.store.update(ref.job_id, lambda job: usage.begin_usage(job, ref.index, interval))
            job = await run_to_completion(begin)
            async with self._limited(job, instance):
                yield
        except EncoderBusy:
            has_begun = not self.fleet.registry.is_active(instance)
            raise
        except (Unavailable, DataLoss) as error:
            if self.fleet.registry.is_active(instance):
                raise
            raise _terminated(instance) from error
        finally:
            await run_to_completion(self._end(ref, instance) if has_begun else self._drop(ref, instance))

    async def _end(self, ref: TaskRef, instance: str) -> None:
        """Record one end in the job and in the instance, so that the shares of all jobs add up to its price."""
        now = time.time()
        with contextlib.suppress(ServiceError):
            job = await self.store.update(ref.job_id, lambda job: usage.end_usage(job, ref.index, instance, now))
            task = job.tasks[ref.index]
            # None of this instance where the task had ended before, and only its message came again.
            if task.usage and task.usage[-1].instance == instance:
                now = task.usage[-1].ended_at or now
        await self.fleet.registry.end_run(instance, ref.key, now)

    async def _drop(self, ref: TaskRef, instance: str) -> None:
        """Bill nothing: the encoder did not take the task, and the instance is as idle as it was."""
        with contextlib.suppress(ServiceError):
            await self.store.update(ref.job_id, lambda job: usage.drop_usage(job, ref.index, instance))
        await self.fleet.registry.drop_run(instance, ref.key)

    @contextlib.asynccontextmanager
    async def _limited(self, job: Job, instance: str) -> AsyncIterator[None]:
        """Raise in the block what `_watch` finds."""
        try:
            async with asyncio.timeout(None) as limit:
                watch = asyncio.create_task(self._watch(job, instance, limit))
                try:
                    yield
                finally:
                    watch.cancel()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise watch.result() from error

    async def _watch(self, job: Job, instance: str, limit: asyncio.Timeout) -> ServiceError:
        """Expire the limit once the task must not go on; return the error that says why."""
        max_usd = operation.budget(video_pb2.Operation.FromString(job.request))
        while True:
            await asyncio.sleep(self.check_seconds)
            error: ServiceError | None = None
            if not self.fleet.registry.is_active(instance):
                error = _terminated(instance)
            elif max_usd is not None and await self._costs_more(job.id, max_usd):
                text = f"Stopped: the job has come to cost more than its max_cost_usd of {max_usd:g}."
                error = FailedPrecondition(text, reason=COST_LIMIT)
            if error is not None:
                limit.reschedule(0)
                return error

    async def _costs_more(self, job_id: str, max_usd: float) -> bool:
        """Return True if the job costs more than it may, with its share of the time that its instances will idle."""
        try:
            job = await self.store.get(job_id)
        except ServiceError:
            return False
        cost = self.fleet.registry.cost(job.usage, time.time(), self.fleet.policy.idle_seconds)
        return cost is not None and cost.usd > max_usd


def _terminated(instance: str) -> EncoderBusy:
    return EncoderBusy(f"Instance {instance} terminated under the task.")

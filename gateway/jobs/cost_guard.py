"""Tasks on rented machines: the time is counted, what it costs is held against the job's budget."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from apigpu.v1 import video_pb2
from gateway.fleet.billing import UsageInterval
from gateway.fleet.fleet import Fleet
from gateway.jobs import model, operation
from gateway.jobs.budget import COST_LIMIT
from gateway.jobs.model import Job, Status
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from gateway.workers.base import EncoderBusy
from servicekit.errors import DataLoss, FailedPrecondition, ServiceError, Unavailable
from servicekit.tasks import run_to_completion

CHECK_SECONDS = 1.0


class CostGuard:
    """Counts time in the job's record and in the machine's."""

    def __init__(self, store: JobStore, fleet: Fleet, check_seconds: float = CHECK_SECONDS) -> None:
        """`check_seconds`: how often a running job is held against its budget."""
        self._store = store
        self._fleet = fleet
        self._check_seconds = check_seconds

    @contextlib.asynccontextmanager
    async def billed(self, ref: TaskRef, machine: str) -> AsyncIterator[None]:
        """While the block runs, the machine ("": none that is paid for) has the task.

        Raises EncoderBusy when the machine is being given back, before or meanwhile; FailedPrecondition (COST_LIMIT)
        when the job has come to cost more than it may.
        """
        with self._fleet.assignments.assign(ref.key, machine):
            if not machine:
                yield
                return
            async with self._paid(ref, machine):
                yield

    def is_held_elsewhere(self, ref: TaskRef) -> bool:
        """Whether another living gateway has the task in hand."""
        return self._fleet.assignments.is_assigned_elsewhere(ref.key)

    @contextlib.asynccontextmanager
    async def _paid(self, ref: TaskRef, machine: str) -> AsyncIterator[None]:
        begun_at, has_begun = time.time(), True
        await self._fleet.meter.begin(machine, ref.key, begun_at)
        try:
            spell = UsageInterval(machine, begun_at)
            job = await self._store.change(ref.job_id, lambda job: model.begin_usage(job, ref.index, spell))
            async with self._watched(job, machine):
                yield
        except EncoderBusy:
            has_begun = not self._fleet.meter.is_active(machine)
            raise
        except (Unavailable, DataLoss) as error:
            if self._fleet.meter.is_active(machine):
                raise
            raise EncoderBusy(f"Machine {machine} was given back under the task.") from error
        finally:
            end = self._end(ref, machine) if has_begun else self._never_begun(ref, machine)
            await run_to_completion(end)

    async def _end(self, ref: TaskRef, machine: str) -> None:
        """Both records get the same end, so that the shares of all jobs add up to the machine's price."""
        now = time.time()
        with contextlib.suppress(ServiceError):
            job = await self._store.change(ref.job_id, lambda job: model.end_usage(job, ref.index, machine, now))
            task = job.tasks[ref.index]
            # None of this machine where the task had ended before, and only its message came again.
            if task.usage and task.usage[-1].instance == machine:
                now = task.usage[-1].ended_at or now
                if task.status is Status.COMPLETED and task.started_at is not None:
                    await self._fleet.estimate_store.task_ended(job.operation, now - task.started_at)
        await self._fleet.meter.end(machine, ref.key, now)

    async def _never_begun(self, ref: TaskRef, machine: str) -> None:
        """The encoder did not take the task: nothing is charged, and the machine is as idle as it was."""
        with contextlib.suppress(ServiceError):
            await self._store.change(ref.job_id, lambda job: model.drop_usage(job, ref.index, machine))
        await self._fleet.meter.drop(machine, ref.key)

    @contextlib.asynccontextmanager
    async def _watched(self, job: Job, machine: str) -> AsyncIterator[None]:
        most_usd = operation.budget(video_pb2.Operation.FromString(job.request))
        reasons: list[ServiceError] = []
        watching: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(None) as limit:
                watching = asyncio.create_task(self._watch(job.id, machine, most_usd, limit, reasons))
                yield
        except TimeoutError as error:
            if not reasons:
                raise
            raise reasons[0] from error
        finally:
            if watching is not None:
                watching.cancel()

    async def _watch(
        self, job_id: str, machine: str, most_usd: float | None, limit: asyncio.Timeout, reasons: list[ServiceError]
    ) -> None:
        """End the block with a reason for which the task must not go on."""
        while not reasons:
            await asyncio.sleep(self._check_seconds)
            if not self._fleet.meter.is_active(machine):
                reasons.append(EncoderBusy(f"Machine {machine} was given back under the task."))
            elif most_usd is not None and await self._costs_more(job_id, most_usd):
                text = f"Stopped: the job has come to cost more than its max_cost_usd of {most_usd:g}."
                reasons.append(FailedPrecondition(text, reason=COST_LIMIT))
        limit.reschedule(0)

    async def _costs_more(self, job_id: str, most_usd: float) -> bool:
        """Whether a job costs more than it may, with its share of the time that its machines will idle."""
        try:
            spells = (await self._store.get(job_id)).usage
        except ServiceError:
            return False
        cost = self._fleet.meter.cost(spells, time.time(), self._fleet.policy.idle_seconds)
        return cost is not None and cost.usd > most_usd

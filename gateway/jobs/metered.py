"""Tasks on rented machines: the time is counted, what it costs is held against the job's budget."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from apigpu.v1 import video_pb2
from gateway.encoders.base import EncoderBusy
from gateway.fleet.costs import Spell
from gateway.fleet.fleet import Fleet
from gateway.jobs import model, operation
from gateway.jobs.budget import COST_LIMIT
from gateway.jobs.model import Job
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from rpc.errors import DataLoss, NotFound, ResourceExhausted, ServiceError, Unavailable

CHECK_SECONDS = 1.0


class Metered:
    """Counts time in the job's record and in the machine's."""

    def __init__(self, store: JobStore, fleet: Fleet, check_seconds: float = CHECK_SECONDS) -> None:
        """`check_seconds`: how often a running job is held against its budget."""
        self._store = store
        self._fleet = fleet
        self._check_seconds = check_seconds

    @contextlib.asynccontextmanager
    async def running(self, ref: TaskRef, machine: str) -> AsyncIterator[None]:
        """While the block runs, the machine ("": none that is paid for) has the task.

        Raises EncoderBusy when the machine is being given back, before or meanwhile; ResourceExhausted (COST_LIMIT)
        when the job has come to cost more than it may.
        """
        if not machine:
            yield
            return
        started_at = time.time()
        await self._fleet.meter.begin(machine, ref.key, started_at)
        try:
            job = await self._store.change(
                ref.job_id, lambda job: model.begin_spell(job, ref.index, Spell(machine, started_at))
            )
            async with self._within_budget(job):
                yield
        except (Unavailable, DataLoss) as error:
            if self._fleet.meter.is_living(machine):
                raise
            raise EncoderBusy(f"Machine {machine} was given back under the task.") from error
        else:
            await self._fleet.knowledge.task_ended(job.operation, time.time() - started_at)
        finally:
            await asyncio.shield(self._end(ref, machine))

    async def _end(self, ref: TaskRef, machine: str) -> None:
        """Both records get the same end, so that the shares of all jobs add up to the machine's price."""
        now = time.time()
        with contextlib.suppress(ServiceError):
            job = await self._store.change(ref.job_id, lambda job: model.end_spell(job, ref.index, machine, now))
            ends = [spell.ended_at for spell in job.tasks[ref.index].spells if spell.machine == machine]
            now = ends[-1] or now if ends else now
        await self._fleet.meter.end(machine, ref.key, now)

    async def is_running(self, task: str, machine: str) -> bool:
        """Whether the machine has the task, by the job's record."""
        ref = TaskRef.parse(task)
        try:
            return model.has_spell(await self._store.get(ref.job_id), ref.index, machine)
        except NotFound:
            return False

    @contextlib.asynccontextmanager
    async def _within_budget(self, job: Job) -> AsyncIterator[None]:
        most_usd = operation.budget(video_pb2.Operation.FromString(job.request))
        if most_usd is None:
            yield
            return
        watching: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(None) as limit:
                watching = asyncio.create_task(self._watch(job.id, most_usd, limit))
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            text = f"Stopped: the job has come to cost more than its max_cost_usd of {most_usd:g}."
            raise ResourceExhausted(text, reason=COST_LIMIT) from error
        finally:
            if watching is not None:
                watching.cancel()

    async def _watch(self, job_id: str, most_usd: float, limit: asyncio.Timeout) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                cost = self._fleet.meter.cost((await self._store.get(job_id)).spells, time.time())
                if cost is not None and cost.usd > most_usd:
                    limit.reschedule(0)
                    return
            await asyncio.sleep(self._check_seconds)

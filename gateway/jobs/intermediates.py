"""Deletes the results between the tasks of a graph, once the job has ended: nobody asked for them."""

import asyncio
import contextlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial

from gateway.assets.record import parse_name
from gateway.assets.store import AssetStore
from gateway.jetstream.records import UnreadableRecord
from gateway.jobs.model import Job, Task, with_task
from gateway.jobs.store import JobStore
from servicekit.errors import NotFound
from servicekit.tasks import log_and_continue


@dataclass(eq=False)
class IntermediateCleanup:
    """Follows the ends of jobs on all gateways. A record names results until they are deleted, so that none is
    forgotten when a gateway dies."""

    store: JobStore
    assets: AssetStore
    _job_ended: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.store.index.on_end.append(lambda _: self._job_ended.set())

    async def run(self, seconds: float) -> None:
        """Delete what is left whenever a job ends, and every so many seconds."""
        while True:
            self._job_ended.clear()
            with log_and_continue("cannot delete results that nobody asked for; trying again"):
                await self.delete_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._job_ended.wait()

    async def delete_all(self) -> None:
        """Delete the results that the records of ended jobs name, once through. What a record does not name yet on the
        server that answers is left to the next time."""
        for job_id in self.store.index.with_intermediates():
            with contextlib.suppress(NotFound, UnreadableRecord):
                job = await self.store.get(job_id)
                deleted = [job.tasks[index] for index in job.intermediates]
                for task in deleted:
                    await self._delete(task)
                await self.store.update(job_id, partial(_without, {task.asset for task in deleted}))

    async def _delete(self, task: Task) -> None:
        for name in (task.asset, *(file.asset for file in task.files)):
            # Also what is left where a gateway was killed at it, which had deleted the record of the file.
            await self.assets.remove(parse_name(name))


def _without(deleted: Collection[str], job: Job) -> Job:
    """Drop the results that are deleted. A server of a cluster may have answered with an earlier record than the newest
    one, which names further results."""
    return drop_results(job, [index for index in job.intermediates if job.tasks[index].asset in deleted])


def drop_results(job: Job, indexes: Iterable[int]) -> Job:
    """The assets of these tasks are deleted."""
    for index in indexes:
        job = with_task(job, index, asset="", files=())
    return job

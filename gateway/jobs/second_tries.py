"""Second tries: a task that lags behind, while nothing waits for a slot, is begun on another encoder too. The first
result counts.

Only what is expected to be done sooner that way is tried again, and only on encoders that cost nothing. A second try
changes no record but by its result: what becomes of the task is up to the attempt that has its message.
"""

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from gateway.fleet.speeds import ValueRange, WorkItem
from gateway.jobs.executor import TaskExecutor
from gateway.jobs.model import Task
from gateway.jobs.queue import Attempt, TaskRef
from gateway.jobs.store import JobStore
from gateway.workers.base import InputFailed, ResumableEncoder
from gateway.workers.pool import Pool, PoolMember
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.jobs")

Running = Mapping["asyncio.Task[bool]", Attempt]


@dataclass(eq=False)
class SecondTries:
    """Begins second tries, one of a task at the most, and ends them once their task has ended. `on_first` is called
    when one is the first to be done, with the attempt that has the message."""

    store: JobStore
    pool: Pool
    executor: TaskExecutor
    on_first: Callable[[Attempt], Awaitable[None]]
    running: dict[TaskRef, "asyncio.Task[None]"] = field(default_factory=dict, init=False)
    _tried: set[TaskRef] = field(default_factory=set, init=False)
    _first: set[TaskRef] = field(default_factory=set, init=False)

    async def look(self, running: Running) -> None:
        """End those that are not needed any more, and begin one where a task lags."""
        for ref, trying in list(self.running.items()):
            if not await self._is_open(ref) and not self._is_ending(ref):
                trying.cancel()
        self._tried &= {attempt.ref for attempt in running.values()} | self.running.keys()
        if self.store.index.tasks_waiting:
            return
        for attempt in running.values():
            if attempt.ref not in self._tried and await self._lags(attempt) and (member := self._lease(attempt)):
                self._tried.add(attempt.ref)
                self._begin(attempt, member)
                return

    def cancel(self, job_id: str) -> None:
        """End those of a job, but for one whose result is being recorded."""
        for ref, trying in self.running.items():
            if ref.job_id == job_id and not self._is_ending(ref):
                trying.cancel()

    def _is_ending(self, ref: TaskRef) -> bool:
        """Return True for a second try whose result is being recorded, or was: it has the other attempt to end yet."""
        return ref in self.executor.committing or ref in self._first

    async def close(self) -> None:
        """End all."""
        await cancel_and_wait(*self.running.values())

    async def _is_open(self, ref: TaskRef) -> bool:
        with contextlib.suppress(ServiceError):
            return not (await self.store.get(ref.job_id)).tasks[ref.index].status.is_terminal
        return True

    async def _lags(self, attempt: Attempt) -> bool:
        """Return True for a task that would be done sooner if it were begun anew elsewhere, by what such tasks take."""
        if attempt.started_at is None:
            return False
        with contextlib.suppress(ServiceError):
            job = await self.store.get(attempt.ref.job_id)
            task = job.tasks[attempt.ref.index]
            item = WorkItem(job.kind(attempt.ref.index), task.frames_planned)
            expected = self.executor.estimates.estimates.speeds.seconds(item)
            return _is_part(task) and expected is not None and lags(attempt, expected, time.time())
        return False

    def _lease(self, attempt: Attempt) -> PoolMember | None:
        """Return a slot of another encoder, which costs nothing."""
        codec = self.store.index.codec(attempt.ref.job_id, attempt.ref.index)
        dear = [one.encoder.name for one in self.pool.members if one.is_rented or _is_queue(one)]
        member = self.pool.try_lease([attempt.encoder, *dear], codec)
        if member is not None and member.encoder.name in (attempt.encoder, *dear):
            self.pool.release(member)
            return None
        return member

    def _begin(self, attempt: Attempt, member: PoolMember) -> None:
        name = member.encoder.name
        second = replace(attempt, id=secrets.token_hex(16), started_at=None, is_second=True, encoder=name)
        log.info("a task lags, and is tried on another encoder too", task=attempt.ref.key, encoder=second.encoder)
        trying = asyncio.create_task(self._try(attempt, second, member))
        self.running[attempt.ref] = trying
        trying.add_done_callback(lambda _: self._done(attempt.ref, member))

    def _done(self, ref: TaskRef, member: PoolMember) -> None:
        self.running.pop(ref)
        self._first.discard(ref)
        self.pool.release(member)

    async def _try(self, first: Attempt, second: Attempt, member: PoolMember) -> None:
        try:
            work = await self.executor.load(second.ref)
            if work is None:
                return
            await self.executor.execute(second, work, member.encoder)
        except (ServiceError, InputFailed) as error:
            log.info("a second try of a task failed", task=second.ref.key, error=str(error))
        else:
            self._first.add(second.ref)
            await self.on_first(first)
        finally:
            await member.encoder.until_ended(second.ref.key)


def lags(attempt: Attempt, expected: ValueRange, now: float) -> bool:
    """Return True for an attempt that has run longer than such tasks take, and of which more is left, by how far it
    has come, than one takes as a whole. Before that nothing is to be told from a share: inputs may be on their way."""
    if attempt.started_at is None:
        return False
    ran_seconds = now - attempt.started_at
    left_seconds = ran_seconds * (1 - attempt.share) / attempt.share if attempt.share > 0 else math.inf
    return min(ran_seconds, left_seconds) > expected.high


def _is_part(task: Task) -> bool:
    return task.planner is not None and task.frames_planned > 0


def _is_queue(member: PoolMember) -> bool:
    return isinstance(member.encoder, ResumableEncoder)

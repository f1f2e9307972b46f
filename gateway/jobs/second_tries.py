"""Second tries: a task that lags behind, while nothing waits for a slot, is begun on another encoder too. The first
result counts.

Only what is expected to be done sooner that way is tried again, and only on encoders that cost nothing. A second try
changes no record but by its result: what becomes of the task is up to the attempt that has its message.
"""

import asyncio
import contextlib
import functools
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

import structlog

from gateway.fleet.speeds import ValueRange
from gateway.jobs.executor import TaskExecutor
from gateway.jobs.queue import Attempt, TaskRef
from gateway.jobs.store import JobStore
from gateway.workers.base import InputFailed, ResumableEncoder
from gateway.workers.pool import Pool, PoolMember
from servicekit import tracing
from servicekit.errors import Cancelled, ServiceError
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
        """End those that are not needed any more, and begin one where a task lags. Looks are frequent: what is asked of
        running tasks is known here."""
        in_hand = {attempt.ref for attempt in running.values() if not attempt.is_over}
        await self._end_needless(in_hand)
        self._tried &= in_hand | self.running.keys()
        index = self.store.index
        # What a limit holds back would not take a slot.
        if index.tasks_waiting > index.tasks_held_back or not any(map(_is_idle, self.pool.members)):
            return
        is_held_back = functools.cache(self._is_held_back)
        for attempt in self._lagging(running):
            if not is_held_back(index.accounts(attempt.ref.job_id)) and (member := self._lease(attempt)):
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

    async def _end_needless(self, in_hand: Set[TaskRef]) -> None:
        """End those whose task has ended. One that is still in hand has not; and where a job has ended, `cancel` is
        called."""
        for ref, trying in list(self.running.items()):
            if ref in in_hand or trying.cancelling():  # that one waits for its slot
                continue
            if not await self._is_open(ref) and not self._is_ending(ref):
                trying.cancel()

    async def _is_open(self, ref: TaskRef) -> bool:
        with contextlib.suppress(ServiceError):
            return not (await self.store.get(ref.job_id)).tasks[ref.index].status.is_terminal
        return True

    def _lagging(self, running: Running) -> Iterator[Attempt]:
        """Yield the attempts whose tasks would be done sooner if they were begun anew elsewhere, and were not yet."""
        speeds, now = self.executor.estimates.estimates.speeds, time.time()
        for attempt in running.values():
            expected = speeds.seconds(attempt.piece) if attempt.piece and attempt.ref not in self._tried else None
            is_ending = attempt.is_over or self._is_ending(attempt.ref)
            if expected is not None and not is_ending and lags(attempt, expected, now):
                yield attempt

    def _is_held_back(self, accounts: tuple[str, ...]) -> bool:
        """Return True for a tenant or a key that may run no more tasks; for none, where it is not known whose a task
        is."""
        return not accounts or self.store.index.order.at_limit(accounts) is not None

    def _lease(self, attempt: Attempt) -> PoolMember | None:
        """Return a slot of another encoder, which costs nothing."""
        codec = self.store.index.codec(attempt.ref.job_id, attempt.ref.index)
        idle = (one for one in self.pool.members if _is_idle(one) and one.makes(codec))
        fit = {one.encoder.name for one in idle} - {attempt.encoder}
        unfit = [one.encoder.name for one in self.pool.members if one.encoder.name not in fit]
        return self.pool.try_lease(unfit, codec) if fit else None

    def _begin(self, attempt: Attempt, member: PoolMember) -> None:
        name = member.encoder.name
        second = replace(attempt, id=secrets.token_hex(16), started_at=None, is_second=True, encoder=name)
        self._tried.add(attempt.ref)
        with attempt.logged():
            log.info("a task lags, and is tried on another encoder too", encoder=name, second_attempt=second.id)
        trying = asyncio.create_task(self._try(attempt, second, member))
        self.running[attempt.ref] = trying
        trying.add_done_callback(lambda _: self._done(attempt.ref, member))

    def _done(self, ref: TaskRef, member: PoolMember) -> None:
        self.running.pop(ref)
        self._first.discard(ref)
        self.pool.release(member)

    async def _try(self, first: Attempt, second: Attempt, member: PoolMember) -> None:
        with second.logged():
            await self._see_through(first, second, member)

    async def _see_through(self, first: Attempt, second: Attempt, member: PoolMember) -> None:
        try:
            work = await self.executor.load(second.ref)
            if work is None:
                return
            with tracing.border("second try", work.traceparent):
                await self.executor.execute(second, work, member.encoder)
        except Cancelled:
            log.info("a second try was not needed any more")
        except (ServiceError, InputFailed) as error:
            log.info("a second try of a task failed", error=str(error))
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


def _is_idle(member: PoolMember) -> bool:
    """Return True for an encoder with a free slot that costs nothing."""
    return member.free > 0 and not (member.is_rented or isinstance(member.encoder, ResumableEncoder))

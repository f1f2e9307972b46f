"""Second tries: a task that lags behind, while nothing waits for a slot, is begun on another encoder too. The first
result counts.

A task lags that would have ended sooner if it were begun anew on a free encoder, by what that one and its own are known
to take; where nothing is known of theirs, one that has run longer than such tasks take. It is tried only on encoders
that cost nothing. A second try changes no record but by its result: what becomes of the task is up to the attempt that
has its message.
"""

import asyncio
import contextlib
import functools
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import structlog

from gateway.fleet.speeds import ValueRange
from gateway.jobs.executor import TaskExecutor
from gateway.jobs.piece_choice import TOLD_SECONDS, ExpectedTimes
from gateway.jobs.queue import Attempt, TaskRef
from gateway.jobs.store import JobStore
from gateway.workers.base import InputFailed, ResumableEncoder
from gateway.workers.pool import Pool, PoolMember
from servicekit import tracing
from servicekit.errors import Cancelled, ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.jobs")

Running = Mapping["asyncio.Task[bool]", Attempt]

# By so much longer than a second one would take an attempt must have left, as neither is known well.
WORTH = 1.25


@dataclass(eq=False)
class SecondTries:
    """Begins second tries, one of a task at the most, and ends them once their task has ended. `on_first` is called
    when one is the first to be done, with the attempt that has the message."""

    store: JobStore
    pool: Pool
    executor: TaskExecutor
    times: ExpectedTimes
    on_first: Callable[[Attempt], Awaitable[None]]
    running: dict[TaskRef, "asyncio.Task[None]"] = field(default_factory=dict, init=False)
    _tried: set[TaskRef] = field(default_factory=set, init=False)
    _first: set[TaskRef] = field(default_factory=set, init=False)

    async def look(self, running: Running) -> None:
        """End those that are not needed any more, and begin them where tasks lag, first for those that would end last.
        Looks are frequent: what is asked of running tasks is known here."""
        in_hand = {attempt.ref for attempt in running.values() if not attempt.is_over}
        await self._end_needless(in_hand)
        self._tried &= in_hand | self.running.keys()
        index = self.store.index
        # What a limit holds back would not take a slot.
        if index.tasks_waiting > index.tasks_held_back or not any(map(_is_idle, self.pool.members)):
            return
        is_held_back = functools.cache(self._is_held_back)
        for attempt in self._candidates(running):
            if is_held_back(index.accounts(attempt.ref.job_id)):
                continue
            if (member := self._best(attempt)) is None or not self._lags(attempt, member):
                continue
            if (leased := self._lease(attempt, member)) is not None:
                self._begin(attempt, leased)
                is_held_back.cache_clear()  # it counts

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

    def _candidates(self, running: Running) -> Sequence[Attempt]:
        """Return the attempts at pieces that were not tried twice, those that will end last first."""
        now = time.time()
        found = [
            attempt
            for attempt in running.values()
            if attempt.piece is not None and attempt.started_at is not None and attempt.ref not in self._tried
            if not (attempt.is_over or self._is_ending(attempt.ref))
        ]
        return sorted(found, key=lambda attempt: self.times.left(attempt, now), reverse=True)

    def _lags(self, attempt: Attempt, member: PoolMember) -> bool:
        """Return True for an attempt whose piece would be done sooner if it were begun anew on an encoder."""
        assert attempt.piece is not None
        now, elsewhere = time.time(), self.times.on(member.encoder.name, attempt.piece)
        if self.pool.speeds.pace(attempt.piece.film) is not None and elsewhere is not None and attempt.share > 0:
            return now - attempt.begun_at > TOLD_SECONDS and self.times.left(attempt, now) > WORTH * elsewhere
        expected = self.executor.estimates.estimates.speeds.seconds(attempt.piece)
        return expected is not None and lags(attempt, expected, now)

    def _is_held_back(self, accounts: tuple[str, ...]) -> bool:
        """Return True for a tenant or a key that may run no more tasks; for none, where it is not known whose a task
        is."""
        return not accounts or self.store.index.order.at_limit(accounts) is not None

    def _best(self, attempt: Attempt) -> PoolMember | None:
        """Return the fastest of the other encoders that are free and cost nothing, if there is one."""
        codec = self.store.index.codec(attempt.ref.job_id, attempt.ref.index)
        idle = (one for one in self.pool.members if _is_idle(one) and one.makes(codec))
        fit = [one for one in idle if one.encoder.name != attempt.encoder]
        return min(fit, key=lambda one: self.pool.speeds.slowness(one.encoder.name), default=None)

    def _lease(self, attempt: Attempt, member: PoolMember) -> PoolMember | None:
        """Lease a slot of an encoder."""
        codec = self.store.index.codec(attempt.ref.job_id, attempt.ref.index)
        return self.pool.try_lease([one.encoder.name for one in self.pool.members if one is not member], codec)

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
            self.times.learn(second)
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

"""What a task needs before it runs: its inputs as far as they are small, and a slot, which it does not hold meanwhile.

A slot is leased when its task comes, as most inputs are there at once. One whose inputs take longer gives the slot to
another task, and gets the next that is free: a slow origin holds no encoder.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from gateway.jobs.policy import JobPolicy
from gateway.sources.guard import OriginBusy
from gateway.sources.prefetch import PrefetchedSource, Prefetcher
from gateway.workers.base import EncoderBusy, Input, InputFailed, Opened, ResumableEncoder, about
from gateway.workers.pool import Pool, PoolMember
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait

READY_CHECK_SECONDS = 1.0
# Inputs of one task that are fetched at once: fewer than may come from one origin.
MAX_AT_ONCE = 8


@dataclass(eq=False)
class SlotLease:
    """A slot of the pool for one task, which may give it back for a while."""

    pool: Pool
    member: PoolMember | None
    unfit: Collection[str] = ()
    codec: str = ""
    was_given_back: bool = False

    @classmethod
    def of(cls, pool: Pool, unfit: Collection[str] = (), codec: str = "") -> "SlotLease":
        """Lease the best free slot, if there is one; see Pool.lease."""
        return cls(pool, pool.try_lease(unfit, codec), unfit, codec)

    @property
    def encoder_name(self) -> str:
        """Return the encoder that the slot is of, "" without one."""
        return self.member.encoder.name if self.member else ""

    @property
    def streams_inputs(self) -> bool:
        """True unless the slot is a worker's that fetches inputs itself, by link."""
        return self.member is None or not isinstance(self.member.encoder, ResumableEncoder)

    async def hold(self, wait_seconds: float) -> PoolMember:
        """Return the slot, leased anew where that is needed, before tasks that come later. Raises EncoderBusy when none
        gets free in time, or no encoder answers."""
        if self.member is None:
            self.member = await self._lease(wait_seconds)
        return self.member

    async def _lease(self, wait_seconds: float) -> PoolMember:
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while True:
            try:
                async with asyncio.timeout(READY_CHECK_SECONDS):
                    return await self.pool.lease(self.unfit, self.codec)
            except TimeoutError as error:
                if not self.pool.ready or asyncio.get_running_loop().time() > deadline:
                    raise EncoderBusy("No slot of an encoder got free for the task.") from error

    async def until_ended(self, task_id: str) -> None:
        """Wait until the encoder has cleaned up behind a task, if there is a slot: it is free then."""
        if self.member is not None:
            await self.member.encoder.until_ended(task_id)

    def give_back(self) -> None:
        """Give the slot to another task, until `hold`."""
        self.was_given_back = True
        self.release()

    def release(self, *, busy: bool = False) -> None:
        """Give the slot back, if there is one."""
        member, self.member = self.member, None
        if member is not None:
            self.pool.release(member, busy=busy)


@dataclass(eq=False)
class Preparation:
    """Fetches the inputs of tasks before they hold a slot."""

    prefetcher: Prefetcher
    policy: JobPolicy
    # Slots that were given back, as long as their tasks last, with the host that the inputs come from.
    given_back: dict[SlotLease, str] = field(default_factory=dict, init=False)

    @asynccontextmanager
    async def inputs(self, inputs: Sequence[Input], slot: SlotLease) -> AsyncIterator[list[Input]]:
        """Yield the inputs, those that are downloaded with their beginnings fetched. Raises InputFailed, OriginBusy."""
        remote = [entry for entry in inputs if self.prefetcher.is_remote(entry.source)]
        if not remote or not slot.streams_inputs:
            yield list(inputs)
            return
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.given_back.pop, slot, None)
            fetched = await self._fetch_in_time(remote, slot, stack)
            yield [replace(entry, open=fetched.get(entry.source, entry.open)) for entry in inputs]

    async def _fetch_in_time(
        self, inputs: Sequence[Input], slot: SlotLease, stack: contextlib.AsyncExitStack
    ) -> dict[str, Callable[[], Opened]]:
        """Return how each source is opened. What takes longer than a moment goes on without the slot, as far as not too
        many do."""
        host, slow = self.prefetcher.host(inputs[0].source), self._slow_hosts()
        busy = OriginBusy("Too many inputs are slow to come; the task waits its turn.")
        if len(slow) >= self.policy.max_slow_tasks and host in slow:
            raise busy
        limit = asyncio.timeout(None)
        try:
            async with limit:
                loop = asyncio.get_running_loop()
                timer = loop.call_later(self.policy.slot_grace_seconds, self._give_back, slot, host, limit)
                try:
                    return await self._fetch(inputs, stack)
                finally:
                    timer.cancel()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise busy from error

    async def _fetch(
        self, inputs: Sequence[Input], stack: contextlib.AsyncExitStack
    ) -> dict[str, Callable[[], Opened]]:
        """Fetch the inputs, more of them at once as they turn out to be small, up to those of which the first is not
        wholly held: the rest has its turn later."""
        fetched: dict[str, Callable[[], Opened]] = {}
        rest, at_once, is_held = list(inputs), 1, True
        while rest and is_held:
            group, rest = rest[:at_once], rest[at_once:]
            sources = await self._fetch_together(group, stack)
            fetched |= {entry.source: source.open for entry, source in zip(group, sources, strict=True)}
            is_held = all(source.rest is None for source in sources)
            at_once = min(2 * at_once, MAX_AT_ONCE)
        return fetched

    async def _fetch_together(
        self, inputs: Sequence[Input], stack: contextlib.AsyncExitStack
    ) -> list[PrefetchedSource]:
        """Fetch inputs at once. One for which its origin has no place beside the others comes after them."""
        fetching = [asyncio.create_task(self._fetch_one(entry, stack)) for entry in inputs]
        try:
            await asyncio.wait(fetching)
        finally:
            await cancel_and_wait(*fetching)
        return [
            await self._fetch_one(entry, stack)
            if isinstance(task.exception(), OriginBusy) and len(inputs) > 1
            else task.result()
            for entry, task in zip(inputs, fetching, strict=True)
        ]

    async def _fetch_one(self, entry: Input, stack: contextlib.AsyncExitStack) -> PrefetchedSource:
        try:
            return await self.prefetcher.fetch(entry.open, stack)
        except OriginBusy:
            raise
        except ServiceError as error:
            raise InputFailed(about(entry.field, error)) from error

    def _slow_hosts(self) -> list[str]:
        """Return the hosts whose inputs tasks wait for without a slot, one for each task."""
        return [host for slot, host in self.given_back.items() if slot.member is None]

    def _give_back(self, slot: SlotLease, host: str, limit: asyncio.Timeout) -> None:
        """Have a task go on without its slot; end its wait where too many have none."""
        if len(self._slow_hosts()) < self.policy.max_slow_tasks:
            self.given_back[slot] = host
            slot.give_back()
        else:
            limit.reschedule(asyncio.get_running_loop().time())

"""The pool of encoders: which answer, and which of their slots are free. Encoders come and go while it runs."""

import asyncio
import contextlib
import math
import time
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field

import structlog

from gateway.metrics import forget_encoder
from gateway.workers.base import Encoder, EncoderBusy, ResumableEncoder
from gateway.workers.encoder_speeds import EncoderSpeeds
from servicekit.tasks import cancel_and_wait, log_and_continue

log = structlog.get_logger("gateway.workers")

POLL_SECONDS = 5.0
RETRY_SECONDS = 0.2
REST_SECONDS = 0.5


@dataclass(eq=False)
class PoolMember:
    """One encoder of the pool: whether it answers, and how many of its slots this gateway uses.

    Of two with free slots that of the lower `rank` is leased, then the faster one. `busy` is the encoder's own count of
    the tasks of all gateways. One that `is_rented` is billed by the second.
    """

    encoder: Encoder
    rank: int = 0
    is_rented: bool = False
    ready: bool = False
    slots: int = 0
    used: int = 0
    busy: int = 0
    resting: bool = False
    removed: bool = False
    # A connection to it broke: it is leased again once it has answered.
    doubted: bool = False
    # Of the process that answered last.
    boot_id: str = ""
    # Names of the codecs that work there; none where the encoder does not tell.
    codecs: frozenset[str] = frozenset()
    # Unix seconds.
    answered_at: float | None = None
    polling: asyncio.Task[None] | None = field(default=None, repr=False)
    asked: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def free(self) -> int:
        """Slots that can be leased now."""
        return self.slots - self.used if self.ready and not (self.resting or self.removed or self.doubted) else 0

    @property
    def offer(self) -> tuple[object, ...]:
        """What callers that wait for an encoder go by, as the encoder last told it."""
        return self.ready, self.doubted, self.slots, self.boot_id, self.codecs

    def makes(self, codec: str) -> bool:
        """Return True unless it is known that the codec ("": any) does not work there."""
        return not codec or not self.codecs or codec in self.codecs

    @property
    def instance_id(self) -> str:
        """The instance that is billed for its slots, "" for none."""
        return self.encoder.name if self.is_rented else ""


class Pool:
    """All encoders of this gateway, by name. One that answers is polled every `poll_seconds`."""

    def __init__(self, poll_seconds: float = POLL_SECONDS) -> None:
        self._poll_seconds = poll_seconds
        self._members: dict[str, PoolMember] = {}
        # How fast they are beside each other.
        self.speeds = EncoderSpeeds()
        self._changed = asyncio.Event()
        # Callers of `lease` that wait.
        self._waiting = 0
        # By codec, when (monotonic) an encoder last answered that makes it; and since when encoders are polled.
        self._made_at: dict[str, float] = {}
        self._began_at = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, encoder: Encoder, *, rank: int = 0, is_rented: bool = False) -> None:
        """Begin to poll an encoder, and to lease its slots once it answers. The pool closes it in the end."""
        if encoder.name in self._members:
            raise ValueError(f"the pool has an encoder {encoder.name} already")
        member = PoolMember(encoder, rank, is_rented)
        self._members[encoder.name] = member
        member.polling = self._spawn(self._poll(member))

    def remove(self, name: str) -> None:
        """Lease no more slots of an encoder, and close it once those that are leased are released; one that is not
        there is no error."""
        member = self._members.pop(name, None)
        if member is None:
            return
        member.removed = True
        forget_encoder(name)
        self.speeds.forget(name)
        if member.polling is not None:
            member.polling.cancel()
        self._close_unused(member)

    async def close(self) -> None:
        """Close all connections."""
        await cancel_and_wait(*self._tasks)
        await asyncio.gather(*(member.encoder.close() for member in self._members.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def member(self, name: str) -> PoolMember | None:
        """Return the member of an encoder's name."""
        return self._members.get(name)

    @property
    def members(self) -> list[PoolMember]:
        """All members."""
        return list(self._members.values())

    @property
    def ready(self) -> int:
        """Number of encoders that answer."""
        return sum(member.ready for member in self._members.values())

    @property
    def slots(self) -> int:
        """Slots of the encoders that answer."""
        return sum(member.slots for member in self._members.values() if member.ready)

    @property
    def encoders(self) -> int:
        """Machines that work at once: encoders that answer, and the workers of those that are queues."""
        return sum(
            member.slots if isinstance(member.encoder, ResumableEncoder) else 1
            for member in self._members.values()
            if member.ready
        )

    def learn(self, name: str, film: str, frames: float, seconds: float) -> None:
        """Learn how fast an encoder is from frames of a film that it made in that time."""
        if name in self._members:
            self.speeds.note(name, film, frames, seconds)

    def doubt(self, name: str) -> None:
        """Ask an encoder whether it is still there, as a connection to it broke; lease none of its slots before."""
        if (member := self._members.get(name)) is not None:
            member.doubted = True
            member.asked.set()

    def boot_id(self, name: str) -> str | None:
        """Return which process of an encoder answers now; None where none does."""
        member = self._members.get(name)
        return member.boot_id if member is not None and member.ready and not member.doubted else None

    async def boot_id_soon(self, name: str, seconds: float) -> str | None:
        """Return which process of an encoder answers within that time; None where none does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.boot_id(name) is None:
                    await self._change()
        return self.boot_id(name)

    async def until_free(self) -> None:
        """Wait until a slot is free that no `lease` waits for."""
        while self._waiting or self._best_free() is None:
            await self._change()

    async def lease(self, unfit: Collection[str] = (), codec: str = "") -> PoolMember:
        """Wait for a free slot, and return its member; the lowest rank first, then an encoder that is not much slower
        than others, then the one with the most free ones. One of the encoders `unfit` for the task only where there are
        no others, and none without the codec. The slot is to be released."""
        self._waiting += 1
        try:
            while (member := self.try_lease(unfit, codec)) is None:
                await self._change()
            return member
        finally:
            self._waiting -= 1
            self._changed.set()

    def try_lease(self, unfit: Collection[str] = (), codec: str = "") -> PoolMember | None:
        """Lease the best free slot, as `lease` does; None without one."""
        member = self._best_free(unfit if self._has_others(unfit, codec) else (), codec)
        if member is not None:
            member.used += 1
        return member

    def seconds_without(self, codec: str) -> float:
        """Return for how long there has been no encoder that makes the codec, though others are there; else 0."""
        if not self.ready or any(member.ready and member.makes(codec) for member in self._members.values()):
            return 0.0
        return time.monotonic() - self._made_at.get(codec, self._began_at)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def release(self, member: PoolMember, *, busy: bool = False) -> None:
        """Return a leased slot; an encoder that was `busy` with tasks of others is left alone for a moment."""
        member.used -= 1
        if busy and not (member.removed or member.resting):
            member.resting = True
            self._spawn(self._end_rest(member))
        self._close_unused(member)
        self._changed.set()

    def _close_unused(self, member: PoolMember) -> None:
        if member.removed and not member.used:
            self._spawn(member.encoder.close())

    def _has_others(self, unfit: Collection[str], codec: str) -> bool:
        return any(member.ready and member.makes(codec) for name, member in self._members.items() if name not in unfit)

    def _best_free(self, unfit: Collection[str] = (), codec: str = "") -> PoolMember | None:
        free = (item for item in self._members.items() if item[1].free > 0)
        fit = (member for name, member in free if name not in unfit and member.makes(codec))
        return min(fit, key=lambda member: (member.rank, self._slowness_step(member), -member.free), default=None)

    def _slowness_step(self, member: PoolMember) -> int:
        """Return how slow an encoder is, in steps: that of all which are about as fast as most is 0."""
        return round(math.log2(self.speeds.slowness(member.encoder.name)))

    async def _end_rest(self, member: PoolMember) -> None:
        await asyncio.sleep(REST_SECONDS)
        member.resting = False
        self._changed.set()

    async def _poll(self, member: PoolMember) -> None:
        while True:
            before = member.offer
            with log_and_continue(f"cannot poll encoder {member.encoder.name}"):
                await self._update(member)
            if member.offer != before:  # else polls of many encoders would have every waiter look at all of them
                self._changed.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds if member.ready else RETRY_SECONDS):
                    await member.asked.wait()
            member.asked.clear()

    async def _update(self, member: PoolMember) -> None:
        name = member.encoder.name
        try:
            capacity = await member.encoder.capabilities()
        except EncoderBusy as error:
            if member.ready:
                log.warning("encoder lost", encoder=name, error=error.message)
            member.ready, member.doubted, member.slots, member.busy = False, False, 0, 0
            return
        if not member.ready:
            log.info("encoder ready", encoder=name, slots=capacity.slots)
        member.ready, member.doubted, member.slots, member.busy = True, False, capacity.slots, capacity.busy
        member.boot_id = capacity.boot_id
        member.codecs = frozenset(codec.name for codec in capacity.codecs)
        self._made_at.update(dict.fromkeys(member.codecs, time.monotonic()))
        member.answered_at = time.time()

    def _spawn(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

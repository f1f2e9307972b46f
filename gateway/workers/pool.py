"""Which encoders answer, and which of their slots are free. Encoders come and go while it runs."""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field

import structlog

from gateway.workers.base import Encoder, EncoderBusy
from servicekit.tasks import cancel_and_wait, log_and_continue

log = structlog.get_logger("gateway.workers")

ASK_AGAIN_SECONDS = 5.0
RETRY_SECONDS = 0.2
REST_SECONDS = 0.5


@dataclass(eq=False)
class PoolMember:
    """One encoder of the pool: whether it answers and how many of its slots this gateway uses.

    Of two with free slots that of the lower `rank` is taken. `busy` is what the encoder itself told last, of all
    gateways. `is_rented`: it is paid for by the second.
    """

    encoder: Encoder
    rank: int = 0
    is_rented: bool = False
    ready: bool = False
    slots: int = 0
    used: int = 0
    busy: int = 0
    resting: bool = False
    leaving: bool = False
    # Unix seconds.
    answered_at: float | None = None
    asking: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def free(self) -> int:
        """Slots that can be leased now."""
        return self.slots - self.used if self.ready and not self.resting and not self.leaving else 0


class SlotLease:
    """A slot of an encoder, until `release`."""

    def __init__(self, pool: "Pool", seat: PoolMember) -> None:
        self._pool = pool
        self.seat = seat
        self.encoder = seat.encoder
        # Name of the machine that is paid for, if one is.
        self.machine = seat.encoder.name if seat.is_rented else ""

    def release(self, *, busy: bool = False) -> None:
        """Give the slot back; with `busy` the encoder is left in peace for a moment, others use it too."""
        self._pool.give_back(self.seat, busy)


class Pool:
    """All encoders of this gateway, by name. One that answers is asked again every `ask_again_seconds`."""

    def __init__(self, ask_again_seconds: float = ASK_AGAIN_SECONDS) -> None:
        self._ask_again_seconds = ask_again_seconds
        self._seats: dict[str, PoolMember] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, encoder: Encoder, *, rank: int = 0, is_rented: bool = False) -> None:
        """Begin to ask an encoder, and to lease its slots once it answers. The pool closes it in the end."""
        if encoder.name in self._seats:
            raise ValueError(f"the pool has an encoder {encoder.name} already")
        seat = PoolMember(encoder, rank, is_rented)
        self._seats[encoder.name] = seat
        seat.asking = self._spawn(self._look_after(seat))

    def remove(self, name: str) -> None:
        """Lease no more of its slots, and let go of it once those that are leased are given back; one that is not
        there is no fault."""
        seat = self._seats.pop(name, None)
        if seat is None:
            return
        seat.leaving = True
        if seat.asking is not None:
            seat.asking.cancel()
        if not seat.used:
            self._spawn(seat.encoder.close())

    async def close(self) -> None:
        """End all connections."""
        await cancel_and_wait(*self._tasks)
        await asyncio.gather(*(seat.encoder.close() for seat in self._seats.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._seats

    def seat(self, name: str) -> PoolMember | None:
        """The seat of an encoder."""
        return self._seats.get(name)

    @property
    def seats(self) -> list[PoolMember]:
        """All seats."""
        return list(self._seats.values())

    @property
    def ready(self) -> int:
        """Encoders that answer."""
        return sum(seat.ready for seat in self._seats.values())

    @property
    def slots(self) -> int:
        """Slots of the encoders that answer."""
        return sum(seat.slots for seat in self._seats.values() if seat.ready)

    async def lease(self) -> SlotLease:
        """Wait for a free slot; the lowest rank first, then the encoder with the most free ones."""
        while (seat := self._best_free()) is None:
            self._changed.clear()
            await self._changed.wait()
        seat.used += 1
        return SlotLease(self, seat)

    def exchange(self, lease: SlotLease) -> SlotLease:
        """The same lease, or a better one: much may have changed while it was held for a task to come."""
        seat = self._best_free()
        if seat is None or not (lease.seat.leaving or seat.rank < lease.seat.rank):
            return lease
        seat.used += 1
        lease.release()
        return SlotLease(self, seat)

    def _best_free(self) -> PoolMember | None:
        free = [seat for seat in self._seats.values() if seat.free > 0]
        return min(free, key=lambda seat: (seat.rank, -seat.free), default=None)

    def give_back(self, seat: PoolMember, busy: bool) -> None:
        """See Lease.release."""
        seat.used -= 1
        if seat.leaving:
            if not seat.used:
                self._spawn(seat.encoder.close())
            return
        if busy and not seat.resting:
            seat.resting = True
            self._spawn(self._wake(seat))
        self._changed.set()

    async def _wake(self, seat: PoolMember) -> None:
        await asyncio.sleep(REST_SECONDS)
        seat.resting = False
        self._changed.set()

    async def _look_after(self, seat: PoolMember) -> None:
        while True:
            with log_and_continue(f"cannot ask encoder {seat.encoder.name}"):
                await self._ask(seat)
            self._changed.set()
            await asyncio.sleep(self._ask_again_seconds if seat.ready else RETRY_SECONDS)

    async def _ask(self, seat: PoolMember) -> None:
        try:
            capacity = await seat.encoder.capabilities()
        except EncoderBusy as error:
            if seat.ready:
                log.warning("encoder lost", encoder=seat.encoder.name, error=error.message)
            seat.ready, seat.slots, seat.busy = False, 0, 0
            return
        if not seat.ready:
            log.info("encoder ready", encoder=seat.encoder.name, slots=capacity.slots)
        seat.ready, seat.slots, seat.busy = True, capacity.slots, capacity.busy
        seat.answered_at = time.time()

    def _spawn(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

"""Which encoders answer, and which of their slots are free."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass

import structlog

from gateway.encoders.base import Encoder, EncoderBusy

log = structlog.get_logger("encoders")

ASK_AGAIN_SECONDS = 5.0
RETRY_SECONDS = 0.2
REST_SECONDS = 0.5


@dataclass
class Seat:
    """One encoder of the pool: whether it answers and how many of its slots this gateway uses."""

    encoder: Encoder
    ready: bool = False
    slots: int = 0
    used: int = 0
    resting: bool = False

    @property
    def free(self) -> int:
        """Slots that can be leased now."""
        return self.slots - self.used if self.ready and not self.resting else 0


class Lease:
    """A slot of an encoder, until `release`."""

    def __init__(self, pool: "Pool", seat: Seat) -> None:
        self._pool = pool
        self._seat = seat
        self.encoder = seat.encoder

    def release(self, *, busy: bool = False) -> None:
        """Give the slot back; with `busy` the encoder is left in peace for a moment, others use it too."""
        self._pool.give_back(self._seat, busy)


class Pool:
    """All encoders of this gateway."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self._seats = [Seat(encoder) for encoder in encoders]
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to ask the encoders."""
        for seat in self._seats:
            self._spawn(self._look_after(seat))

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(seat.encoder.close() for seat in self._seats))

    @property
    def ready(self) -> int:
        """Encoders that answer."""
        return sum(seat.ready for seat in self._seats)

    @property
    def slots(self) -> int:
        """Slots of the encoders that answer."""
        return sum(seat.slots for seat in self._seats if seat.ready)

    async def lease(self) -> Lease:
        """Wait for a free slot; the encoder with the most free ones first."""
        while True:
            seat = max(self._seats, key=lambda seat: seat.free, default=None)
            if seat is not None and seat.free > 0:
                seat.used += 1
                return Lease(self, seat)
            self._changed.clear()
            await self._changed.wait()

    def give_back(self, seat: Seat, busy: bool) -> None:
        """See Lease.release."""
        seat.used -= 1
        if busy and not seat.resting:
            seat.resting = True
            self._spawn(self._wake(seat))
        self._changed.set()

    async def _wake(self, seat: Seat) -> None:
        await asyncio.sleep(REST_SECONDS)
        seat.resting = False
        self._changed.set()

    async def _look_after(self, seat: Seat) -> None:
        while True:
            try:
                slots, ready = (await seat.encoder.ask()).slots, True
            except EncoderBusy as error:
                slots, ready = 0, False
                if seat.ready:
                    log.warning("encoder lost", encoder=seat.encoder.name, error=error.message)
            if ready and not seat.ready:
                log.info("encoder ready", encoder=seat.encoder.name, slots=slots)
            seat.ready, seat.slots = ready, slots
            self._changed.set()
            await asyncio.sleep(ASK_AGAIN_SECONDS if ready else RETRY_SECONDS)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

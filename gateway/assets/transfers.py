"""Slots of uploads and downloads, and how slow these may be while others wait for a slot."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from gateway.metrics import CLIENT, IN, OUT, transferred
from servicekit.concurrency import ConcurrencyLimit, Slot

# A transfer that is slower than this loses its slot when no other is free. Time that we take ourselves does not count.
MIN_BYTES_PER_SECOND = 32 * 1024
# So long it may fall behind: players pause, radio cells change.
ALLOWED_SECONDS = 5.0

T = TypeVar("T")
CountBytes = Callable[[float], None]


class TransferSlots:
    """A limit on concurrent uploads and downloads, since each holds a few chunks in memory."""

    def __init__(self, max_transfers: int, allowed_seconds: float = ALLOWED_SECONDS, peer: str = CLIENT) -> None:
        """Let a transfer fall behind by `allowed_seconds` at most, once others wait; `peer` says with whom they are."""
        self._limit = ConcurrencyLimit(max_transfers, "uploads and downloads")
        self._allowed_seconds = allowed_seconds
        self._count_in, self._count_out = transferred(IN, peer), transferred(OUT, peer)

    @property
    def free(self) -> int:
        return self._limit.free

    @contextlib.asynccontextmanager
    async def acquire(self, client: str) -> AsyncIterator["Transfer"]:
        """Hold one slot during the block. Raises ResourceExhausted: BUSY at once, EVICTED when it is too slow."""
        async with self._limit.hold(client) as slot:
            yield Transfer(slot, self._allowed_seconds, self._count_in, self._count_out)


class Transfer:
    """One upload or download: measures the time that its client takes for its bytes."""

    def __init__(self, slot: Slot, allowed_seconds: float, count_in: CountBytes, count_out: CountBytes) -> None:
        self._slot = slot
        self._count_in, self._count_out = count_in, count_out
        self._max_allowed_seconds = self._allowed_seconds = allowed_seconds

    @contextlib.contextmanager
    def client_turn(self) -> Iterator[None]:
        """Measure the time of the block, in which the client sends or takes bytes."""
        begun = time.monotonic()
        self._slot.wait(self._allowed_seconds)
        try:
            yield
        finally:
            self._slot.work()
            self._allowed_seconds -= time.monotonic() - begun

    def _earn(self, size_bytes: int) -> None:
        earned_seconds = size_bytes / MIN_BYTES_PER_SECOND
        self._allowed_seconds = min(self._allowed_seconds + earned_seconds, self._max_allowed_seconds)

    async def send(self, sending: Awaitable[None], size_bytes: int) -> None:
        """Await the sending of so many bytes."""
        with self.client_turn():
            await sending
        self._count_out(size_bytes)
        self._earn(size_bytes)

    async def receive(self, parts: AsyncIterator[T], size_bytes: Callable[[T], int]) -> AsyncIterator[T]:
        """Yield parts as they come."""
        while True:
            with self.client_turn():
                part = await anext(parts, None)
            if part is None:
                return
            came_bytes = size_bytes(part)
            self._count_in(came_bytes)
            self._earn(came_bytes)
            yield part
            del part  # which would be held while the client sends the next one

"""Limits on what happens at once: calls, connections, transfers. Slots are shared out among clients, and under pressure
those that wait for their client go to those that do not."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from servicekit.errors import DeadlineExceeded, ResourceExhausted, ServiceError

# A client gets a free slot while it has fewer than this many for each that is free: alone it can have nine of ten, and
# there is always one left for the next client. Source: dynamic thresholds, Choudhury and Hahne 1998.
SHARE = 9
RETRY_SECONDS = 1
BUSY, EVICTED = "BUSY", "EVICTED"

S = TypeVar("S", bound="Slot")
T = TypeVar("T")


class Slot:
    """One slot of a limit, from `take` to `release`.

    It idles while its client owes the next step (a message, a request, a read), and may then be given to another one.
    """

    def __init__(self, client: str, end: Callable[[], None]) -> None:
        """`end` is called when the slot goes to another client; what held it must end then."""
        self.client = client
        self.end = end
        self.is_evicted = False
        self._idle_since = math.inf
        # The slots of this client, those first that began to idle first.
        self.queue: dict[Slot, None] = {}

    def work(self) -> None:
        """Note that the next step is the service's."""
        self._idle_since = math.inf

    def wait(self, allowed_seconds: float = 0.0) -> None:
        """Note that the next step is the client's; the slot is its own for `allowed_seconds` more."""
        self._idle_since = time.monotonic() + allowed_seconds
        if self in self.queue:
            del self.queue[self]
            self.queue[self] = None

    def idle_seconds(self, now: float) -> float:
        """Return for how long the client has owed the next step; 0 or less: it is not due."""
        return now - self._idle_since


class ConcurrencyLimit:
    """At most `total` slots at once. `what` names, in errors, what is limited.

    Without a free slot for a client, the one that began to idle first is ended: one of the client with the most.
    """

    def __init__(self, total: int, what: str) -> None:
        self.total = total
        self._what = what
        self._slots: dict[str, dict[Slot, None]] = {}
        self._used = 0

    @property
    def free(self) -> int:
        return self.total - self._used

    def take(self, client: str, end: Callable[[], None]) -> Slot:
        """Return a slot, to be released. Raises ResourceExhausted (BUSY) at once when none can be had."""
        return self._add(Slot(client, end))

    def _add(self, slot: S) -> S:
        own = len(self._slots.get(slot.client, ()))
        if own >= SHARE * self.free and not self._evict(own):
            raise ResourceExhausted(
                f"Too many {self._what} at once; try again in a moment.",
                reason=BUSY,
                retry_seconds=RETRY_SECONDS,
            )
        slot.queue = self._slots.setdefault(slot.client, {})
        slot.queue[slot] = None
        self._used += 1
        return slot

    def release(self, slot: Slot) -> None:
        """Give the slot back; once is enough, also of one that was evicted."""
        slots = self._slots.get(slot.client, {})
        if slot not in slots:
            return
        del slots[slot]
        self._used -= 1
        if not slots:
            del self._slots[slot.client]

    def _evict(self, least: int) -> bool:
        """End one idle slot of a client that has `least` slots or more; return whether there was one."""
        now = time.monotonic()
        for slots in sorted(self._slots.values(), key=len, reverse=True):
            if len(slots) < least:
                return False
            for slot in slots:
                if slot.idle_seconds(now) > 0:
                    slot.is_evicted = True
                    self.release(slot)
                    slot.end()
                    return True
        return False

    @asynccontextmanager
    async def hold(self, client: str, *, is_preemptible: bool = False) -> AsyncIterator["HeldSlot"]:
        """Hold a slot during the block, which is cancelled when the slot goes to another client.

        A preemptible block may lose it at any time; others only where they await their client. Raises ResourceExhausted
        (BUSY, EVICTED), and DeadlineExceeded when the client was awaited for too long.
        """
        timer, slot = asyncio.timeout(None), None
        try:
            async with timer:
                slot = self._add(HeldSlot(client, timer, is_preemptible))
                yield slot
        except TimeoutError as error:
            if slot is None or not timer.expired():
                raise
            raise slot.error() from error
        finally:
            if slot is not None:
                self.release(slot)


class HeldSlot(Slot):
    """The slot of a block, in which the client can be awaited for a limited time."""

    def __init__(self, client: str, timer: asyncio.Timeout, is_preemptible: bool) -> None:
        super().__init__(client, self._expire)
        self._timer = timer
        self._is_preemptible = is_preemptible
        self._text = ""
        self.work()

    def work(self) -> None:
        if self._is_preemptible:
            self.wait()
        else:
            super().work()

    async def awaiting(self, step: Awaitable[T], seconds: float | None, text: str) -> T:
        """Return what the client owes. After `seconds` the block ends with DeadlineExceeded(`text`)."""
        self.wait()
        self._text = text
        self._timer.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)
        try:
            return await step
        finally:
            if not (self.is_evicted or self._timer.expired()):
                self._timer.reschedule(None)
            self.work()

    def error(self) -> ServiceError:
        """Return the error of a block that was cancelled."""
        if self.is_evicted:
            text = "Others needed this slot while its client was slow or silent; try again in a moment."
            return ResourceExhausted(text, reason=EVICTED, retry_seconds=RETRY_SECONDS)
        return DeadlineExceeded(self._text, reason="TOO_LATE")

    def _expire(self) -> None:
        if not self._timer.expired():
            self._timer.reschedule(0)

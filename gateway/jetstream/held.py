"""Messages that were taken and not handed out: a worker looked for one behind them. They are the next of their lanes
here, and go back to the queue where nobody takes them soon, as another worker may."""

import asyncio
import contextlib
import time
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import structlog

from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait, run_to_completion

log = structlog.get_logger("gateway.jetstream")

# Of all lanes together.
MAX_HELD = 512
HELD_SECONDS = 20.0


class Holdable(Protocol):
    """A message that is held."""

    key: str
    lane: str

    @property
    def sequence(self) -> int: ...

    async def keep(self) -> None: ...

    async def give_back(self, delay_seconds: float = 0) -> None: ...


M = TypeVar("M", bound=Holdable)


@dataclass(frozen=True, order=True)
class _Held(Generic[M]):
    """A message, by its place in the queue, and since when (monotonic) it is held."""

    sequence: int
    since: float
    delivery: M = field(compare=False)


@dataclass(eq=False)
class HeldDeliveries(Generic[M]):
    """The messages of a worker that are held, by lane in the order of the queue. They are kept from others by a
    heartbeat every so many seconds."""

    heartbeat_seconds: float
    held_seconds: float = HELD_SECONDS
    _lanes: dict[str, list[_Held[M]]] = field(default_factory=dict, init=False)
    _keeping: "asyncio.Task[None] | None" = field(default=None, init=False)

    @property
    def has_room(self) -> bool:
        """False while no more may be held."""
        return sum(map(len, self._lanes.values())) < MAX_HELD

    def put(self, delivery: M) -> None:
        """Hold a message; one that came again takes the place of what it was."""
        self.take(delivery.lane, delivery.key)
        insort(self._lanes.setdefault(delivery.lane, []), _Held(delivery.sequence, time.monotonic(), delivery))
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_all())

    def first(self, lane: str) -> M | None:
        """Take the first message of a lane, if one is held."""
        held = self._lanes.get(lane)
        return self.take(lane, held[0].delivery.key) if held else None

    def take(self, lane: str, key: str) -> M | None:
        """Take a message of a lane, if it is held."""
        held = self._lanes.get(lane, [])
        found = next((one for one in held if one.delivery.key == key), None)
        if found is None:
            return None
        held.remove(found)
        if not held:
            del self._lanes[lane]
        return found.delivery

    async def stop(self) -> None:
        """Return all to the queue."""
        if self._keeping is not None:
            await cancel_and_wait(self._keeping)
        await asyncio.gather(*map(_return, self._taken(since=float("inf"))))

    async def _keep_all(self) -> None:
        while self._lanes:
            await asyncio.sleep(self.heartbeat_seconds)
            late = list(self._taken(since=time.monotonic() - self.held_seconds))
            await run_to_completion(asyncio.gather(*map(_return, late)))
            for one in [one for held in self._lanes.values() for one in held]:
                if one in self._lanes.get(one.delivery.lane, ()):  # nobody has taken it meanwhile
                    await _keep(one.delivery)

    def _taken(self, since: float) -> Iterator[M]:
        """Take those that are held since then or longer, in their order."""
        for one in sorted(one for held in self._lanes.values() for one in held if one.since <= since):
            if (delivery := self.take(one.delivery.lane, one.delivery.key)) is not None:
                yield delivery


async def _keep(delivery: Holdable) -> None:
    try:
        await delivery.keep()
    except ServiceError as error:
        log.warning("cannot send a heartbeat for a message", key=delivery.key, error=str(error.__cause__))


async def _return(delivery: Holdable) -> None:
    with contextlib.suppress(ServiceError):  # it comes again by itself
        await delivery.give_back()

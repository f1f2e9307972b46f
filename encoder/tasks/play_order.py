"""The order in which an encoder makes the pieces of a film that it has in hand.

Pieces that share a core take each other's caches: three on one core took a fifth more of its time than one after the
other. And encoders that make several at once end far apart. So no more are made at once than there are cores; what
follows is planned meanwhile.

Of a film that is watched while it is made, pieces that are made side by side are all there late. So what is seen first
has the processors first. Beside the first piece, which is waited for, nothing else of the picture is made; beside a
later one, the next one is prepared.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from apigpu.encoder.v1 import encoder_pb2
from servicekit.process import usable_cores

# What one run of x264 makes good use of; on a machine of more, several pieces of a watched film are made at once.
CORES_FOR_A_PIECE = 8
# So long others wait for a piece whose inputs still come.
ARRIVAL_SECONDS = 5.0


@dataclass(eq=False)
class PlayTurn:
    """The turn of a task in a queue; of one whose result does not play, none: it never waits."""

    queue: "PlayQueue"
    order: encoder_pb2.PlayOrder | None
    has_inputs: bool = field(default=False, init=False)
    _since: float = field(default_factory=time.monotonic, init=False)

    @property
    def is_late(self) -> bool:
        """True where its inputs take so long that others are not to wait."""
        return not self.has_inputs and time.monotonic() > self._since + self.queue.arrival_seconds

    @property
    def is_waiting(self) -> bool:
        """True while others come first."""
        return self._is_behind()

    async def turn(self, *, to_prepare: bool = False) -> None:
        """Wait until it is this one's turn, or until it is to be prepared for that."""
        while self._is_behind(to_prepare):
            with contextlib.suppress(TimeoutError):  # in which one may have become late
                async with asyncio.timeout(self.queue.arrival_seconds):
                    await self.queue.change()

    def encoded(self) -> None:
        """Let the next ones begin, while this one is checked and sent, unless it is waited for."""
        if self.order is not None and not _is_waited_for(self.order):
            self.leave()

    def leave(self) -> None:
        """Let the next ones begin."""
        self.queue.remove(self)

    def _is_behind(self, beside: int = 0) -> bool:
        """Return True where as many pieces come before as are made at once, and some beside those."""
        if self.order is None:
            return False
        at_once = self.queue.watched_at_once if self.order.is_watched else self.queue.cores
        return self.queue.pieces_before(self.order) >= at_once + beside


@dataclass(eq=False)
class PlayQueue:
    """The tasks in hand, of each film in the order in which they play. So many pieces of a film that is watched are
    made at once; of others as many as there are cores."""

    watched_at_once: int = field(default_factory=lambda: max(usable_cores() // CORES_FOR_A_PIECE, 1))
    cores: int = field(default_factory=usable_cores)
    arrival_seconds: float = ARRIVAL_SECONDS
    _places: set[PlayTurn] = field(default_factory=set, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def waiting(self) -> int:
        """Number of tasks that wait for others, or will once they have come to it."""
        return sum(place.is_waiting for place in self._places)

    @contextlib.contextmanager
    def hold(self, task: encoder_pb2.Task) -> Iterator[PlayTurn]:
        """Hold the place of a task."""
        place = PlayTurn(self, task.play_order if task.HasField("play_order") else None)
        self._places.add(place)
        try:
            yield place
        finally:
            place.leave()

    def pieces_before(self, order: encoder_pb2.PlayOrder) -> int:
        """Return how many pieces of the same picture are in hand that play before; one that is waited for counts for
        two."""
        return sum(
            2 if _is_waited_for(other) else 1
            for place in self._places
            if (other := place.order) is not None and not place.is_late and _is_before(other, order)
        )

    def remove(self, place: PlayTurn) -> None:
        """Take a place out, if it is in."""
        self._places.discard(place)
        self._changed.set()

    async def change(self) -> None:
        """Wait until a place is taken out."""
        self._changed.clear()
        await self._changed.wait()


def _is_before(other: encoder_pb2.PlayOrder, order: encoder_pb2.PlayOrder) -> bool:
    return other.film == order.film and not other.is_sound and other.pieces_before < order.pieces_before


def _is_waited_for(order: encoder_pb2.PlayOrder) -> bool:
    """Return True of the first piece of a film that is watched."""
    return order.is_watched and not order.pieces_before

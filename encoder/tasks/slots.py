"""Slots: how many tasks an encoder runs at once, and what of the machine each has."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog

from encoder.tasks.play_order import PlayQueue
from servicekit.errors import ResourceExhausted, Unavailable
from servicekit.process import usable_cores

log = structlog.get_logger("encoder")


@dataclass
class Slots:
    """Counts running tasks. A task without a slot is refused at once: the gateway queues, not the encoder.

    A slot is out of service (`stuck`) while a process of a task that was in it cannot be killed."""

    total: int
    busy: int = 0
    stuck: int = 0
    is_closed: bool = False
    play_queue: PlayQueue = field(default_factory=PlayQueue)

    def close(self) -> None:
        """Take no more tasks: the encoder is shutting down."""
        self.is_closed = True

    @property
    def offered(self) -> int:
        """The slots that gateways may count on: none once closed."""
        return 0 if self.is_closed else max(self.total - self.stuck, 0)

    @property
    def are_all_stuck(self) -> bool:
        """True when no slot is left in service."""
        return self.stuck >= self.total

    @property
    def threads(self) -> int:
        """x264 threads for the next task: 1.5 × cores / running tasks (x264's own default is 1.5 × cores)."""
        return max(1, round(1.5 * usable_cores() / max(self.busy - self.play_queue.waiting, 1)))

    @property
    def lanes(self) -> int:
        """How many tasks are worked on side by side, as far as there are cores for them."""
        return min(self.total, usable_cores())

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold a slot. Raises ResourceExhausted (reason NO_FREE_SLOT), or Unavailable once closed."""
        if self.is_closed:
            raise Unavailable("The encoder is shutting down; send the task to another.", reason="DRAINING")
        if self.busy + self.stuck >= self.total:
            text = f"All {self.total} slots are busy; try another encoder."
            raise ResourceExhausted(text, reason="NO_FREE_SLOT")
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

    def take_out(self, ended: "asyncio.Future[int]") -> None:
        """Take a slot out of service until a process has `ended` that cannot be killed."""
        self.stuck += 1
        log.error("a process cannot be killed; its slot is out of service", slots=self.total, stuck=self.stuck)
        ended.add_done_callback(self._bring_back)

    def _bring_back(self, _: "asyncio.Future[int]") -> None:
        self.stuck -= 1
        log.warning("a process has ended after all; its slot is in service again", stuck=self.stuck)

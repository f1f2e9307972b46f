"""Slots: how many tasks run at once."""

import contextlib
import os
from collections.abc import Iterator

from servicekit.errors import ResourceExhausted, Unavailable


class Slots:
    """Counts running tasks. A task without a slot is refused at once: the gateway queues, not the encoder."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.busy = 0
        self._closed = False

    def close(self) -> None:
        """Take no more tasks: the encoder is shutting down."""
        self._closed = True

    @property
    def open_total(self) -> int:
        """Slots that can be had: none once closed."""
        return 0 if self._closed else self.total

    @property
    def threads(self) -> int:
        """Threads for one task more, so that those that run now keep every core busy and no more: x264's own rule of
        three threads for two cores, shared out."""
        cores = len(os.sched_getaffinity(0))
        return max(1, round(1.5 * cores / max(self.busy, 1)))

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a slot. Raises ResourceExhausted (reason NO_FREE_SLOT), or Unavailable once closed."""
        if self._closed:
            raise Unavailable("The encoder is shutting down; send the task to another.", reason="DRAINING")
        if self.busy >= self.total:
            text = f"All {self.total} slots are busy; try another encoder."
            raise ResourceExhausted(text, reason="NO_FREE_SLOT")
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

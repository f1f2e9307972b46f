"""How much downloads hold in memory, all together: while there are many, each reads less at a time."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from servicekit.chunks import CHUNK_BYTES

MIB = 1024 * 1024
TOTAL_BYTES = 48 * MIB
# One download takes so much of what is left, and reads so many bytes at a time in any case.
SHARE = 8
LEAST_BYTES = 64 * 1024
# Of each download there are two windows: one is sent while the next is read. On its way to the client a chunk is copied
# from one buffer to the next: message, response, socket.
WINDOWS = 2
COPIES = 4


@dataclass(eq=False)
class ReadBudget:
    """The bytes that all downloads of the process hold. A slow reader holds what it has for as long as it likes, so
    that those after it make do with less."""

    total_bytes: int = TOTAL_BYTES
    held_bytes: int = field(default=0, init=False)

    @contextlib.contextmanager
    def share(self, most_bytes: int) -> Iterator["ReadShare"]:
        """Hold the share of one download, which reads `most_bytes` at a time at most."""
        share = ReadShare(self, most_bytes)
        try:
            yield share
        finally:
            self.held_bytes -= share.held_bytes


@dataclass(eq=False)
class ReadShare:
    """What one download holds of the budget."""

    budget: ReadBudget
    most_bytes: int
    held_bytes: int = 0

    def window_bytes(self) -> int:
        """Return how many bytes are to be read next, and hold them in place of those before."""
        self.budget.held_bytes -= self.held_bytes
        free_bytes = self.budget.total_bytes - self.budget.held_bytes
        window = min(self.most_bytes, max(LEAST_BYTES, free_bytes // SHARE))
        self.held_bytes = WINDOWS * window + COPIES * min(window, CHUNK_BYTES)
        self.budget.held_bytes += self.held_bytes
        return window

"""Memory that was freed, given back to the system: glibc keeps what lies between blocks that are still held, which
after many transfers at once is most of what they took."""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from servicekit.tasks import repeat

# A look costs next to nothing while nothing was freed.
RETURN_SECONDS = 2.0
# Many transfers that begin at once free as they go: sooner, where the process has grown by so much since.
LOOK_SECONDS = 0.25
GROWN_BYTES = 32 * 1024 * 1024
_STATM = Path("/proc/self/statm")
_trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)


async def return_freed_memory() -> None:
    """Return what is free to the system, again and again; nothing where the C library is not glibc."""
    if _trim is not None:
        returner = _Returner()
        await repeat("cannot return freed memory", LOOK_SECONDS, returner.look)


@dataclass(eq=False)
class _Returner:
    """What the process had in memory once it had returned what was free, and when that was (monotonic)."""

    size_bytes: int = 0
    returned_at: float = float("-inf")

    async def look(self) -> None:
        """Return what is free, where it is time, or the process has grown."""
        is_due = time.monotonic() - self.returned_at >= RETURN_SECONDS
        if is_due or _resident_bytes() > self.size_bytes + GROWN_BYTES:
            assert _trim is not None
            await asyncio.to_thread(_trim, 0)
            self.size_bytes, self.returned_at = _resident_bytes(), time.monotonic()


def _resident_bytes() -> int:
    return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")

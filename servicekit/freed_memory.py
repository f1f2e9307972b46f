"""Memory that was freed: kept for a moment, as the next chunk of a file needs as much, then given back to the system.

Of its own accord glibc does neither well. Large blocks it gives back at once, and their pages are made anew for the
next one. What lies between blocks that are still held it keeps for good: after many transfers at once, most of what
they took.
"""

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
# Blocks up to this size come from what was freed, which is kept up to so much in a row: some messages of uploads.
KEPT_BYTES = 16 * 1024 * 1024
# Parameters of glibc's mallopt. Source: malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_STATM = Path("/proc/self/statm")
_LIBC = ctypes.CDLL(None)
_trim: Callable[[int], int] | None = getattr(_LIBC, "malloc_trim", None)


async def return_freed_memory() -> None:
    """Have freed memory be kept for a moment, and return what is free to the system, again and again; nothing where the
    C library is not glibc."""
    if _trim is not None:
        _LIBC.mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        _LIBC.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
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

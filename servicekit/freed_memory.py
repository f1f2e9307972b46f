"""Memory that was freed: kept by the C library for the next chunks, and given back to the system from time to time, as
glibc keeps what lies between blocks that are still held, which after many transfers at once is most of what they took.
"""

import asyncio
import ctypes
from collections.abc import Callable

from servicekit.tasks import repeat

# A look costs next to nothing while nothing was freed.
RETURN_SECONDS = 2.0
_C = ctypes.CDLL(None)
_trim: Callable[[int], int] | None = getattr(_C, "malloc_trim", None)
_set_option: Callable[[int, int], int] | None = getattr(_C, "mallopt", None)
# Options of mallopt(3), of glibc alone, and their values: chunks and messages come from what is kept, instead of pages
# that the system has to clear for each one.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_BYTES = MAPPED_BYTES = 8 * 1024 * 1024


def keep_freed_memory() -> None:
    """Keep some memory that is freed for what comes next; nothing where the C library is not glibc."""
    if _trim is not None and _set_option is not None:
        _set_option(TRIM_THRESHOLD, KEPT_BYTES)
        _set_option(MMAP_THRESHOLD, MAPPED_BYTES)


async def return_freed_memory() -> None:
    """Return what is free to the system, again and again; nothing where the C library is not glibc."""
    if _trim is not None:
        await repeat("cannot return freed memory", RETURN_SECONDS, _returned)


async def _returned() -> None:
    assert _trim is not None
    await asyncio.to_thread(_trim, 0)

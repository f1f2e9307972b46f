"""Memory that was freed, given back to the system: glibc keeps what lies between blocks that are still held, which
after many transfers at once is most of what they took."""

import asyncio
import ctypes
from collections.abc import Callable

from servicekit.tasks import repeat

# A look costs next to nothing while nothing was freed.
RETURN_SECONDS = 2.0
_trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)


async def return_freed_memory() -> None:
    """Return what is free to the system, again and again; nothing where the C library is not glibc."""
    if _trim is not None:
        await repeat("cannot return freed memory", RETURN_SECONDS, _returned)


async def _returned() -> None:
    assert _trim is not None
    await asyncio.to_thread(_trim, 0)

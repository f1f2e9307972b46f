"""How tests wait: for what they need, rather than for a time. A limit only ends a test that hangs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

# Long even for a busy machine, shorter than the time limit of a test.
HANG_SECONDS = 60.0


async def until(found: Callable[[], T], seconds: float = HANG_SECONDS) -> T:
    """Return what was found, once it is true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (value := found()):
            await asyncio.sleep(0.01)
    return value


async def until_async(found: Callable[[], Awaitable[T]], seconds: float = HANG_SECONDS) -> T:
    """Return what was found by awaiting, once it is true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (value := await found()):
            await asyncio.sleep(0.05)
    return value


def until_sync(found: Callable[[], T], seconds: float = HANG_SECONDS) -> T:
    """Return what was found, once it is true, where no event loop runs. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > end:
            raise TimeoutError("it did not come true")
        time.sleep(0.02)
    return value


async def within(awaited: Awaitable[T], seconds: float = HANG_SECONDS) -> T:
    """Return what is awaited. Raises TimeoutError when it hangs."""
    async with asyncio.timeout(seconds):
        return await awaited

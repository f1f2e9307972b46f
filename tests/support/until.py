"""How tests wait: for what they need, rather than for a time."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until(found: Callable[[], T], seconds: float = 60.0) -> T:
    """What was found, once it is true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (value := found()):
            await asyncio.sleep(0.01)
    return value

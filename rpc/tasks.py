"""Tasks end with whoever began them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def ended(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks, and wait until each has cleared up after itself. What they raise is dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """The result of work that must not stop half-way: a cancel is heard when it has ended."""
    task, is_cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        raise asyncio.CancelledError from (None if task.cancelled() else task.exception())
    return task.result()

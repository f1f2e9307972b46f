"""Tasks end with whoever began them, and not before."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import structlog

from servicekit.errors import ServiceError

log = structlog.get_logger("tasks")

T = TypeVar("T")


@contextlib.contextmanager
def log_and_continue(what: str) -> Iterator[None]:
    """One round of a loop that must not end: what the block raises is logged as `what`, with its trace where nobody
    foresaw it. Cancels pass."""
    try:
        yield
    except ServiceError as error:
        log.warning(what, error=error.message)
    except Exception:
        log.exception(what)


async def cancel_and_wait(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks, and wait until each has cleared up after itself. What they raise is dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_to_completion(work: Coroutine[Any, Any, T]) -> T:
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

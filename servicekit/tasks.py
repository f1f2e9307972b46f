"""Helpers for asyncio tasks: log and continue, repeat, run beside, cancel and wait, run to completion."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import structlog

from servicekit.errors import ServiceError

log = structlog.get_logger("servicekit.tasks")

T = TypeVar("T")


@contextlib.contextmanager
def log_and_continue(event: str, **facts: object) -> Iterator[None]:
    """Log what the block raises as `event` with `facts`, for a round of a loop that must not end; cancellation passes.

    Errors other than ServiceError are logged with their traceback.
    """
    try:
        yield
    except ServiceError as error:
        log.warning(event, error=error.message, **facts)
    except Exception:
        log.exception(event, **facts)


async def repeat(event: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do the work at once and then every so many seconds, until cancelled; log what it raises as `event`."""
    while True:
        with log_and_continue(event):
            await work()
        await asyncio.sleep(seconds)


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, T]) -> AsyncIterator["asyncio.Task[T]"]:
    """Let work go on beside the block, which may await it; it is cancelled with it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await cancel_and_wait(task)


async def unless_set(event: asyncio.Event, work: Coroutine[Any, Any, T], grace_seconds: float) -> T | None:
    """Return the result of the work; None where it takes longer than a grace after the event."""
    ended, working = asyncio.ensure_future(event.wait()), asyncio.ensure_future(work)
    try:
        await asyncio.wait({ended, working}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=grace_seconds)
        return working.result() if working.done() else None
    finally:
        # Not awaited: what does not answer would delay whoever waits for it.
        ended.cancel()
        working.cancel()


async def cancel_and_wait(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks and wait until each has ended; their errors are dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_to_completion(work: Awaitable[T]) -> T:
    """Return the result of work that must not stop half-way; a cancellation is re-raised once the work has ended."""
    task, is_cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        raise asyncio.CancelledError from (None if task.cancelled() else task.exception())
    return task.result()

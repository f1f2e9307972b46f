"""Faults of NATS, translated where they enter."""

import asyncio
import contextlib
from collections.abc import Iterator

import nats.errors

from servicekit.errors import Unavailable


@contextlib.contextmanager
def nats_errors() -> Iterator[None]:
    """Turn whatever the NATS client raises inside into Unavailable, and let no cancel get lost in it."""
    with reraise_swallowed_cancel():
        try:
            yield
        except (nats.errors.Error, TimeoutError, OSError) as error:
            text = "The store of jobs does not answer; try again in a moment."
            raise Unavailable(text, reason="STORE_DOWN") from error


@contextlib.contextmanager
def reraise_swallowed_cancel() -> Iterator[None]:
    """Raise CancelledError at the end for a cancel that the block swallowed. The NATS client waits by asyncio.wait_for,
    which up to Python 3.11 does so when the answer comes in the same moment (python/cpython#86296)."""
    task = asyncio.current_task()
    asked = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > asked:
            raise asyncio.CancelledError

"""Errors of the NATS client, translated where they enter."""

import asyncio
import contextlib
from collections.abc import Iterator

import nats.errors

from servicekit.errors import Unavailable


@contextlib.contextmanager
def nats_errors() -> Iterator[None]:
    """Raise Unavailable for whatever the NATS client raises in the block.

    Raise CancelledError at the end of a block that swallowed a cancellation: the NATS client waits by asyncio.wait_for,
    which does so if the answer comes in the same moment (python/cpython#86296, fixed in 3.12).
    """
    task = asyncio.current_task()
    requested = task.cancelling() if task else 0
    try:
        yield
    except (nats.errors.Error, TimeoutError, OSError) as error:
        text = "The store of jobs does not answer; try again in a moment."
        raise Unavailable(text, reason="STORE_DOWN") from error
    finally:
        if task and task.cancelling() > requested:
            raise asyncio.CancelledError

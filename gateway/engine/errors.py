"""Faults of NATS, translated where they enter."""

import contextlib
from collections.abc import Iterator

import nats.errors

from rpc.errors import Unavailable


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn whatever the NATS client raises inside into Unavailable."""
    try:
        yield
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise Unavailable("The store of jobs does not answer; try again in a moment.", reason="STORE_DOWN") from error

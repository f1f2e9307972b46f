"""What log lines are about: ids that every line carries, bound once where work begins and known to all that it starts.

What is learned on the way (the job that a request made) is on the lines of whatever began it, too: that of the request
itself. What outlives the work that started it is to be started in a context of its own: `contextvars.Context()`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, str] = MappingProxyType({})

# Shared with what is started within, which adds to it what it learns.
_ids: ContextVar[dict[str, str] | None] = ContextVar("log_ids", default=None)


@contextlib.contextmanager
def about(**ids: str) -> Iterator[None]:
    """Have the lines of the block carry these ids, beside those that are in force; empty ones are left out.

    A block whose ids are in force already is a part of the block around it, which knows what it learns.
    """
    outer = _ids.get()
    given = _given(ids)
    if outer is not None and given.items() <= outer.items():
        yield
        return
    token = _ids.set({**(outer or {}), **given})
    try:
        yield
    finally:
        _ids.reset(token)


def learn(**ids: str) -> None:
    """Have the further lines of the block carry these ids too; nothing outside of a block."""
    if (known := _ids.get()) is not None:
        known.update(_given(ids))


def current() -> Mapping[str, str]:
    """Return the ids that are in force."""
    return _ids.get() or NOTHING


def add_ids(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Add the ids that are in force to a log event, which may say otherwise: a processor of structlog."""
    return {**current(), **event}


def _given(ids: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in ids.items() if value}

"""Admission of gRPC calls: slots by class of call and client, and deadlines for the messages that clients owe.

A call takes its slot with its headers, and idles until its message is there: who only opens calls holds up nobody.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from servicekit.concurrency import ConcurrencyLimit, HeldSlot
from servicekit.interceptors import AroundCall, Context

# A client without a key has nothing to send that takes longer.
FIRST_MESSAGE_SECONDS = 10.0
NEXT_MESSAGE_SECONDS = 30.0
OPEN_CALLS = 256


@dataclass(frozen=True)
class CallClass:
    """Calls that share a limit. A client may let the service wait so long for its first and for each further message;
    None is for ever. Preemptible calls give way to others of their class at any time."""

    limit: ConcurrencyLimit
    first_seconds: float | None = FIRST_MESSAGE_SECONDS
    next_seconds: float | None = NEXT_MESSAGE_SECONDS
    is_preemptible: bool = False


def open_class(what: str, *, is_preemptible: bool = False) -> CallClass:
    """Return a class of calls that anybody may make: few, and short unless they are preemptible."""
    return CallClass(ConcurrencyLimit(OPEN_CALLS, what), is_preemptible=is_preemptible)


class PacedRequests:
    """The messages of a call, each by its deadline."""

    def __init__(self, context: Context, slot: HeldSlot, call_class: CallClass) -> None:
        self._context = context
        self._slot = slot
        self._seconds = call_class.first_seconds
        self._next_seconds = call_class.next_seconds

    def __aiter__(self) -> "PacedRequests":
        return self

    async def __anext__(self) -> Any:
        """Return the next message, which is parsed further out; a late one ends the call."""
        seconds, self._seconds = self._seconds, self._next_seconds
        text = f"No message came within {seconds:g} s; call again, and send it." if seconds is not None else ""
        message = await self._slot.awaiting(self._context.read(), seconds, text)
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message


# Returns the class of a call, by its method, and its client.
Classify = Callable[[str, Context], tuple[CallClass, str]]


def admission(classify: Classify) -> AroundCall:
    """Return the interceptor. It stands inside authentication, which needs no message."""

    @asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[PacedRequests]:
        call_class, client = classify(method, context)
        async with call_class.limit.hold(client, is_preemptible=call_class.is_preemptible) as slot:
            yield PacedRequests(context, slot, call_class)

    return AroundCall(around)

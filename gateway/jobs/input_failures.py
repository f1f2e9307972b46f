"""All inputs of a task that cannot be read, told in one answer, once the first of them has failed it."""

import asyncio
from collections.abc import Sequence

from gateway.workers.base import Input, about, shown_name
from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ServiceError
from servicekit.faults import Faults
from servicekit.tasks import cancel_and_wait

# What does not change by another try.
LASTING = (FailedPrecondition, InvalidArgument, NotFound, PermissionDenied)
LOOK_SECONDS = 5.0
LOOKS_AT_ONCE = 8


async def all_failures(error: ServiceError, inputs: Sequence[Input]) -> ServiceError:
    """Return the error of an input with those of all others that cannot be opened either, as far as LOOK_SECONDS tell;
    the error as it is where another try may mend it."""
    if not isinstance(error, LASTING):
        return error
    others = [entry for entry in inputs if shown_name(entry.field) not in error.fields]
    turns = asyncio.Semaphore(LOOKS_AT_ONCE)
    looks = [asyncio.create_task(_failure(entry, turns)) for entry in others]
    try:
        if looks:
            await asyncio.wait(looks, timeout=LOOK_SECONDS)
    finally:
        await cancel_and_wait(*looks)
    faults = Faults()
    for failure in (error, *(look.result() for look in looks if not look.cancelled())):
        if failure is not None:
            _name_all(failure, inputs)
            faults.add(failure)
    return faults.error() or error


def _name_all(error: ServiceError, inputs: Sequence[Input]) -> None:
    """Name all fields that have the source of an error."""
    for entry in inputs:
        if (text := error.fields.get(shown_name(entry.field))) is not None:
            error.fields.update((shown_name(other), text) for other in entry.also)


async def _failure(entry: Input, turns: asyncio.Semaphore) -> ServiceError | None:
    try:
        async with turns, entry.open():
            return None
    except LASTING as error:
        return about(entry.field, error)
    except ServiceError:
        return None

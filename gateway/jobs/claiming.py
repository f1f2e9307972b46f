"""The claim of a request's idempotency key, asked for beside the rest that is done before its job is written."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.jobs.claims import Claims, HeldClaim, IdempotencyKey
from gateway.jobs.model import Job
from servicekit.errors import ServiceError
from servicekit.tasks import give_way

# A store that does not answer delays the answer to a request that is refused by so much; the release goes on.
RELEASE_SECONDS = 1.0
# Until the question is on its way to the store, which answers while this gateway does the rest.
SENT_TURNS = 3


class MadeBefore(Exception):
    """A request came with a key of which there is a job."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.id)
        self.job = job


@dataclass(eq=False)
class Claiming:
    """A claim that is asked for; none of a request without a key, or one that claims its key later. Once its job is
    being written it `is_used`: it stays, whatever becomes of that."""

    asked: "asyncio.Task[HeldClaim] | None" = None
    is_used: bool = False

    async def held(self) -> HeldClaim | None:
        """Return the claim once the key is this request's. Raises MadeBefore, AlreadyExists, Unavailable."""
        return await asyncio.shield(self.asked) if self.asked is not None else None


@contextlib.asynccontextmanager
async def claiming(
    claims: Claims,
    key: IdempotencyKey | None,
    ask: Callable[[IdempotencyKey], Coroutine[Any, Any, HeldClaim]],
    releases: "set[asyncio.Task[None]]",
    release_seconds: float = RELEASE_SECONDS,
) -> AsyncIterator[Claiming]:
    """Have a key claimed beside the block by `ask`. Where the block raises, and did not use the claim, it is released;
    what goes on of that after `release_seconds` is in `releases`."""
    if key is None:
        yield Claiming()
        return
    asking = Claiming(asyncio.create_task(ask(key)))
    try:
        await give_way(SENT_TURNS)
        yield asking
    except BaseException:
        if not asking.is_used:
            task = asyncio.create_task(_release(claims, key, asking))
            releases.add(task)
            task.add_done_callback(releases.discard)
            await asyncio.wait([task], timeout=release_seconds)
        raise


async def _release(claims: Claims, key: IdempotencyKey, asking: Claiming) -> None:
    try:
        # Waited for, and not cancelled: of one that is being written nobody would know.
        with contextlib.suppress(ServiceError, MadeBefore):
            held = await asking.held()
            if held is not None and held.is_first:
                await claims.release(key, held)
    finally:
        if asking.asked is not None:
            asking.asked.cancel()  # the gateway ends

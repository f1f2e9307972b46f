"""The claim of a request's idempotency key, asked for beside the rest that is done before its job is written."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.jobs.claims import Claims, HeldClaim, IdempotencyKey
from gateway.jobs.model import Job
from servicekit.errors import AlreadyExists, ServiceError

# A store that does not answer delays the answer to a request that is refused by so much; the release goes on.
RELEASE_SECONDS = 1.0


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

    @property
    def answer(self) -> MadeBefore | AlreadyExists | None:
        """What came of a claim that cannot be held, as the key is another request's; None of any other."""
        if self.asked is None or not self.asked.done() or self.asked.cancelled():
            return None
        error = self.asked.exception()
        return error if isinstance(error, MadeBefore | AlreadyExists) else None


@contextlib.asynccontextmanager
async def claiming(
    claims: Claims,
    key: IdempotencyKey | None,
    ask: Callable[[IdempotencyKey], Coroutine[Any, Any, HeldClaim]],
    releases: "set[asyncio.Task[None]]",
    release_seconds: float = RELEASE_SECONDS,
) -> AsyncIterator[Claiming]:
    """Have a key claimed beside the block by `ask`. Where the block raises, and did not use the claim, it is released;
    what goes on of that after `release_seconds` is in `releases`. A request that would be refused now, and came before,
    gets what the key says: raises MadeBefore, AlreadyExists."""
    if key is None:
        yield Claiming()
        return
    asking = Claiming(asyncio.create_task(ask(key)))
    try:
        yield asking
    except BaseException as error:
        if not asking.is_used:
            task = asyncio.create_task(_release(claims, key, asking))
            releases.add(task)
            task.add_done_callback(releases.discard)
            await asyncio.wait([task], timeout=release_seconds)
            if isinstance(error, ServiceError) and (answer := asking.answer) is not None:
                raise answer from None
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

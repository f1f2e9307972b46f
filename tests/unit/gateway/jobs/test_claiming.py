"""Claims that are asked for beside the rest of a request."""

import asyncio
from typing import Any

import pytest

from gateway.jobs.claiming import MadeBefore, claiming
from gateway.jobs.claims import HeldClaim, IdempotencyKey
from gateway.jobs.model import Job
from servicekit.errors import AlreadyExists, InvalidArgument, Unavailable
from tests.support.until import within

KEY = IdempotencyKey("key", "digest", "default")
JOB = Job("0" * 32, "caption", b"", False, (), 0.0)


class Claims:
    """Notes which claims are released."""

    def __init__(self) -> None:
        self.released: list[str] = []

    async def release(self, key: IdempotencyKey, held: HeldClaim) -> None:
        self.released.append(held.job_id)


async def refused(claims: Any, ask: Any, releases: Any, *, is_used: bool = False, seconds: float = 1.0) -> None:
    """A request that is refused before its claim is held."""

    async def request() -> None:
        async with claiming(claims, KEY, ask, releases, seconds) as claim:
            claim.is_used = is_used
            raise InvalidArgument("No.")

    with pytest.raises(InvalidArgument):
        await request()


@pytest.mark.parametrize(("is_first", "is_used", "released"), [(1, 0, ["job"]), (0, 0, []), (1, 1, [])])
async def test_the_claim_of_a_refused_request_is_released_where_it_is_its_own(
    is_first: int, is_used: int, released: list[str]
) -> None:
    claims, releases = Claims(), set[asyncio.Task[None]]()

    async def ask(key: IdempotencyKey) -> HeldClaim:
        await asyncio.sleep(0.01)
        return HeldClaim("job", 1, bool(is_first))

    await refused(claims, ask, releases, is_used=bool(is_used))
    assert (claims.released, releases) == (released, set())


async def test_a_claim_that_cannot_be_made_changes_no_refusal() -> None:
    async def ask(key: IdempotencyKey) -> HeldClaim:
        raise Unavailable("No store.")

    claims = Claims()
    await refused(claims, ask, set())
    assert claims.released == []


async def test_a_store_that_does_not_answer_holds_up_no_refusal_and_is_asked_no_more_at_the_end() -> None:
    asked: list[asyncio.Task[Any] | None] = []
    releases = set[asyncio.Task[None]]()

    async def ask(key: IdempotencyKey) -> HeldClaim:
        asked.append(asyncio.current_task())
        await asyncio.Event().wait()
        raise AssertionError

    await within(refused(Claims(), ask, releases, seconds=0.01))
    (release,) = releases
    release.cancel()
    await asyncio.gather(release, asked[0], return_exceptions=True)  # type: ignore[arg-type]
    assert asked[0] is not None
    assert (asked[0].cancelled(), releases) == (True, set())


@pytest.mark.parametrize("answer", [MadeBefore(JOB), AlreadyExists("Of another request.")])
async def test_what_there_is_of_a_key_is_told_in_place_of_a_refusal(answer: Exception) -> None:
    async def ask(key: IdempotencyKey) -> HeldClaim:
        await asyncio.sleep(0.01)
        raise answer

    claims: Any = Claims()
    with pytest.raises(type(answer)):
        async with claiming(claims, KEY, ask, set()):
            raise InvalidArgument("No.")
    with pytest.raises(asyncio.CancelledError):
        async with claiming(claims, KEY, ask, set()):
            raise asyncio.CancelledError

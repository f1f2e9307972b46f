"""Requests that come again with their idempotency key: one job, whatever happened to the first of them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from apigpu.v1.video_pb2 import CaptionRequest, Operation
from gateway.jetstream.connection import JetStream
from gateway.jobs.claims import Claims, IdempotencyKey
from gateway.jobs.model import Job, Status
from gateway.workers.pool import Pool
from servicekit.errors import AlreadyExists, FailedPrecondition, InvalidArgument, Unavailable
from tests.integration.gateway.jobs.conftest import ScriptedEncoder, Works, wired

KEY = "6b0f2f6e-order/1:final"


async def claim_of(works: Works, wanted: Operation) -> IdempotencyKey:
    key = IdempotencyKey.of(KEY, wanted.SerializeToString(deterministic=True))
    assert key is not None
    return key


async def test_a_request_that_comes_again_gets_its_job(works: Works) -> None:
    wanted = await works.caption()
    first = await works.manager.submit(wanted, KEY)
    assert (await works.manager.submit(wanted, KEY)).id == first.id
    assert (await works.result(first.id)).status is Status.COMPLETED
    again = await works.manager.submit(wanted, KEY)
    assert (again.id, again.status, works.encoder.tasks) == (first.id, Status.COMPLETED, 1)
    assert (await works.manager.submit(wanted)).id != first.id
    assert (await works.manager.submit(wanted, "another")).id != first.id


async def test_requests_at_one_moment_make_one_job(works: Works) -> None:
    wanted = await works.caption()
    jobs = await asyncio.gather(*(works.manager.submit(wanted, KEY) for _ in range(8)))
    (job_id,) = {job.id for job in jobs}
    await works.result(job_id)
    assert (works.encoder.tasks, works.store.index.ids(lambda _: True)) == (1, [job_id])


async def test_another_request_is_refused(works: Works) -> None:
    first = await works.manager.submit(await works.caption(), KEY)
    with pytest.raises(AlreadyExists) as caught:
        await works.manager.submit(await works.caption(), KEY)
    assert (caught.value.reason, caught.value.metadata["job_id"]) == ("IDEMPOTENCY_KEY_REUSED", first.id)


@pytest.mark.parametrize("subtitles", ["srt_text", "url_srt"])
async def test_a_key_is_held_against_what_its_caller_sent_and_not_what_became_of_it(
    works: Works, subtitles: str
) -> None:
    """So that a gateway that makes something else of it, one of another version, takes it for the same request."""
    text = "1\n00:00:00,000 --> 00:00:01,000\nHello\n"
    given = {subtitles: text if subtitles == "srt_text" else f"data:text/plain,{quote(text)}"}
    wanted = Operation(caption=CaptionRequest(url_video=await works.asset(), **given))
    job = await works.manager.submit(wanted, KEY)
    claim = await works.store.claims.find(await claim_of(works, wanted))
    assert claim is not None
    assert (claim.job_id, (await works.manager.submit(wanted, KEY)).id) == (job.id, job.id)
    assert text.encode() not in job.request


@pytest.mark.parametrize("key", ["a b", "é", "x" * 256, "\n"])
async def test_what_can_be_no_key_is_refused(works: Works, key: str) -> None:
    with pytest.raises(InvalidArgument, match="idempotency_key"):
        await works.manager.submit(await works.caption(), key)


async def test_the_work_of_a_gateway_that_died_half_way_is_done(works: Works) -> None:
    wanted, job_id = await works.caption(), "0" * 31 + "1"
    await works.store.claims.claim(await claim_of(works, wanted), job_id)
    assert (await works.manager.submit(wanted, KEY)).id == job_id
    assert (await works.result(job_id)).status is Status.COMPLETED


@pytest.mark.parametrize("arrives_late", [False, True])
async def test_a_try_that_failed_ends_no_later_one(works: Works, arrives_late: bool) -> None:
    wanted = await works.caption()
    works.bucket.is_away = True
    with pytest.raises(Unavailable):
        await works.manager.submit(wanted, KEY)
    if arrives_late:
        await works.bucket.flush()
    works.bucket.is_away = False
    job = await works.manager.submit(wanted, KEY)
    assert (await works.result(job.id)).status is Status.COMPLETED


async def test_a_key_is_free_again_once_its_job_is_no_longer_kept(works: Works) -> None:
    wanted = await works.caption()
    first = await works.manager.submit(wanted, KEY)
    await works.result(first.id)
    await works.store.prune(time.time() + 3700)
    assert await works.store.claims.find(await claim_of(works, wanted)) is None
    assert (await works.manager.submit(wanted, KEY)).id != first.id


class Meeting:
    """A bucket in which what two gateways write of a key is asked of the store at one moment, the first time."""

    def __init__(self, bucket: object, writes: asyncio.Barrier) -> None:
        self._bucket, self._writes = bucket, writes

    def __getattr__(self, name: str) -> object:
        return getattr(self._bucket, name)

    async def create(self, *entry: object) -> object:
        with contextlib.suppress(asyncio.BrokenBarrierError):
            await self._writes.wait()
            await self._writes.abort()
        return await self._bucket.create(*entry)  # type: ignore[attr-defined]


@pytest.fixture
async def two_gateways(works: Works, tmp_path: Path) -> AsyncIterator[tuple[Works, Works]]:
    """Two gateways with connections of their own, which claim a key at one moment, and then write records side by
    side."""
    assert works.jetstream.server is not None
    async with contextlib.AsyncExitStack() as stack:
        jetstream = await JetStream.open(works.jetstream.server.url, tmp_path / "other", connect_seconds=60)
        stack.push_async_callback(jetstream.close)
        pool = Pool()
        stack.push_async_callback(pool.close)
        other = await wired(jetstream, tmp_path, pool, ScriptedEncoder(), stack)
        writes = asyncio.Barrier(2)
        for gateway in (works, other):
            gateway.store.claims = Claims(Meeting(gateway.store.claims.bucket, writes))  # type: ignore[arg-type]
        yield works, other


async def test_two_gateways_that_get_a_request_at_one_moment_make_one_job(two_gateways: tuple[Works, Works]) -> None:
    wanted = await two_gateways[0].caption()
    jobs = await asyncio.gather(*(one.manager.submit(wanted, KEY) for one in two_gateways))
    (job_id,) = {job.id for job in jobs}
    ended = await asyncio.gather(*(one.result(job_id) for one in two_gateways))
    assert {job.status for job in ended} == {Status.COMPLETED}
    assert [one.store.index.ids(lambda _: True) for one in two_gateways] == [[job_id]] * 2
    assert sum(one.encoder.tasks for one in two_gateways) == 1


async def test_of_two_requests_that_two_gateways_get_at_one_moment_one_is_refused(
    two_gateways: tuple[Works, Works],
) -> None:
    requests = [await one.caption() for one in two_gateways]
    asked = (one.manager.submit(wanted, KEY) for one, wanted in zip(two_gateways, requests, strict=True))
    made = await asyncio.gather(*asked, return_exceptions=True)
    (job,) = [one for one in made if not isinstance(one, BaseException)]
    (refused,) = [one for one in made if isinstance(one, AlreadyExists)]
    assert (refused.reason, refused.metadata["job_id"]) == ("IDEMPOTENCY_KEY_REUSED", job.id)
    await two_gateways[0].result(job.id)
    assert [one.store.index.ids(lambda _: True) for one in two_gateways] == [[job.id]] * 2


async def test_a_request_that_is_refused_leaves_its_key_free(works: Works) -> None:
    wanted = await works.caption()
    refused = Operation(caption=CaptionRequest(url_video=f"assets/{'a' * 26}", srt_text="Hi"))
    works.manager.check_cost = refuse
    with pytest.raises(FailedPrecondition):
        await works.manager.submit(refused, KEY)
    works.manager.check_cost = lambda job: None
    assert await works.store.claims.bucket.keys() == []
    job = await works.manager.submit(wanted, KEY)
    assert (await works.result(job.id)).status is Status.COMPLETED


async def test_a_claim_that_another_request_took_over_stays_when_its_own_is_refused(works: Works) -> None:
    wanted, claims = await works.caption(), works.store.claims
    key = await claim_of(works, wanted)
    first = await claims.claim(key, "0" * 31 + "1")
    job = await works.manager.submit(wanted, KEY)
    await claims.release(key, first)
    assert (job.id, (await works.manager.submit(wanted, KEY)).id) == (first.job_id, first.job_id)
    await works.result(job.id)


async def test_a_claim_is_taken_over_once(works: Works) -> None:
    claims, key = works.store.claims, await claim_of(works, await works.caption())
    held = await claims.claim(key, "0" * 31 + "1")
    found = await claims.claim(key, "0" * 31 + "2")
    assert (held.is_first, found.is_first, found.job_id) == (True, False, held.job_id)
    assert [await claims.take_over(key, found) is None for _ in range(2)] == [False, True]
    await claims.release(key, held)
    assert (await claims.hold(key, "0" * 31 + "3")).job_id == held.job_id


def refuse(job: object) -> None:
    raise FailedPrecondition("It costs too much.", reason="COST_LIMIT")


async def test_a_request_that_comes_again_gets_its_job_though_it_would_be_refused_now(works: Works) -> None:
    """As its inputs have expired and there is no room for them, or the host that its results go to is not found."""
    wanted = await works.caption()
    job = await works.manager.submit(wanted, KEY)

    async def refused(job: object, said: object) -> Job:
        raise FailedPrecondition("There is no such host.")

    works.manager.place_output = refused
    assert (await works.manager.submit(wanted, KEY)).id == job.id
    with pytest.raises(AlreadyExists):
        await works.manager.submit(await works.caption(), KEY)
    with pytest.raises(FailedPrecondition):
        await works.manager.submit(wanted, "another")

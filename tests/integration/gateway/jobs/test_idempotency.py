"""Requests that come again with their idempotency key: one job, whatever happened to the first of them."""

import asyncio
import time

import pytest

from apigpu.v1.video_pb2 import Operation
from gateway.jobs.claims import IdempotencyKey
from gateway.jobs.model import Status
from servicekit.errors import AlreadyExists, InvalidArgument, Unavailable
from tests.integration.gateway.jobs.conftest import Works

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

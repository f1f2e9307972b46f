"""The pool's choice for a task that an encoder has failed by a fault of its own."""

import asyncio

import pytest

from apigpu.encoder.v1.encoder_pb2 import GetCapabilitiesResponse
from gateway.workers.pool import Pool


class Idle:
    """An encoder that tells its slots."""

    def __init__(self, name, slots=1):
        self.name, self.slots = name, slots

    async def capabilities(self):
        return GetCapabilitiesResponse(slots=self.slots)

    async def close(self):
        pass


@pytest.fixture
async def pool():
    made = Pool()
    for name in ("first", "second"):
        made.add(Idle(name))
    while made.ready < 2:
        await asyncio.sleep(0)
    yield made
    await made.close()


async def test_an_unfit_encoder_is_passed_over_for_any_other(pool):
    assert pool.try_lease(["first"]).encoder.name == "second"
    assert (pool.member("first").used, pool.member("second").used) == (0, 1)


async def test_while_the_other_is_busy_there_is_none(pool):
    second = await pool.lease(["first"])
    assert pool.try_lease(["first"]) is None
    assert (pool.member("first").used, pool.member("second").used) == (0, 1)
    waiting = asyncio.create_task(pool.lease(["first"]))
    await asyncio.sleep(0)
    pool.release(second)
    assert (await waiting).encoder.name == "second"


async def test_an_unfit_encoder_is_better_than_none(pool):
    assert pool.try_lease(["first", "second"]) is not None
    pool.remove("second")
    if not pool.member("first").used:
        assert pool.try_lease(["first"]) is pool.member("first")


async def test_who_waits_for_a_slot_comes_before_who_looks_for_work(pool):
    members = [pool.try_lease(), pool.try_lease()]
    looking, waiting = asyncio.create_task(pool.until_free()), asyncio.create_task(pool.lease())
    await asyncio.sleep(0)
    pool.release(members[0])
    assert await waiting is members[0]
    assert not looking.done()
    pool.release(members[1])
    await looking

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


async def leased(pool, name):
    """The slot of an encoder, with all others leased before it or not."""
    member = await pool.lease()
    if member.encoder.name == name:
        return member
    other = await pool.lease()
    pool.release(member)
    return other


async def test_an_unfit_encoder_is_exchanged_for_any_other(pool):
    member = await leased(pool, "first")
    assert pool.upgrade(member, ["first"]).encoder.name == "second"
    assert pool.member("first").used == 0


async def test_while_the_other_is_busy_there_is_none(pool):
    member = await leased(pool, "first")
    await pool.lease()
    assert pool.upgrade(member, ["first"]) is None
    assert (pool.member("first").used, pool.member("second").used) == (0, 1)


async def test_an_unfit_encoder_is_better_than_none(pool):
    member = await leased(pool, "first")
    assert pool.upgrade(member, ["first", "second"]) is member
    pool.remove("second")
    assert pool.upgrade(member, ["first"]) is member


async def test_a_task_that_nobody_failed_stays_where_it_is(pool):
    member = await leased(pool, "first")
    assert pool.upgrade(member) is member

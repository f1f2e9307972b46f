"""The pool's choice for a task that an encoder has failed by a fault of its own."""

import asyncio

import pytest

from apigpu.encoder.v1.encoder_pb2 import Codec, GetCapabilitiesResponse
from gateway.workers.pool import Pool


class Idle:
    """An encoder that tells its slots, and its codecs."""

    def __init__(self, name, slots=1, codecs=()):
        self.name, self.slots, self.codecs = name, slots, codecs

    async def capabilities(self):
        return GetCapabilitiesResponse(slots=self.slots, codecs=[Codec(name=name) for name in self.codecs])

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


@pytest.fixture
async def cards():
    """Two encoders that tell their codecs, and one that does not."""
    made = Pool(poll_seconds=0.01)
    made.add(Idle("card", codecs=["nvenc", "x264"]), rank=1)
    made.add(Idle("cores", codecs=["x264"]))
    while made.ready < 2:
        await asyncio.sleep(0)
    yield made
    await made.close()


async def test_a_task_goes_only_to_who_has_its_codec(cards):
    assert cards.try_lease(codec="nvenc").encoder.name == "card"
    assert cards.try_lease(codec="nvenc") is None
    assert cards.try_lease(codec="x264").encoder.name == "cores"


async def test_an_unfit_encoder_is_better_than_one_without_the_codec(cards):
    assert cards.try_lease(["card"], "nvenc").encoder.name == "card"


async def test_who_does_not_tell_its_codecs_may_have_any(cards):
    cards.add(Idle("unknown"), rank=2)
    while cards.ready < 3:
        await asyncio.sleep(0)
    assert [cards.try_lease(codec="nvenc").encoder.name for _ in range(2)] == ["card", "unknown"]


async def test_for_how_long_a_codec_is_gone_is_known(cards):
    assert cards.seconds_without("nvenc") == 0
    assert cards.seconds_without("av1") > 0
    cards.remove("card")
    assert cards.seconds_without("nvenc") > 0
    cards.remove("cores")
    assert cards.seconds_without("nvenc") == 0  # nobody is there: it waits as any task does

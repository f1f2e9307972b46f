"""Slots: how they are shared out, and who gives way."""

import asyncio

import pytest

from servicekit.concurrency import ConcurrencyLimit
from servicekit.errors import DeadlineExceeded, ResourceExhausted
from servicekit.tasks import cancel_and_wait


@pytest.fixture
def ended():
    return []


@pytest.fixture
def take(ended):
    """Takes a slot of a limit for a client; when it has to give way, its name is in `ended`."""

    def take(limit, client, name=""):
        return limit.take(client, lambda: ended.append(name))

    return take


def as_many_as_it_gets(limit, client):
    count = 0
    while True:
        try:
            limit.take(client, lambda: None)
        except ResourceExhausted:
            return count
        count += 1


@pytest.mark.parametrize(("total", "share"), [(1, 1), (2, 2), (4, 4), (9, 9), (64, 58), (1000, 900)])
def test_one_client_alone_gets_nine_of_ten(total, share):
    assert as_many_as_it_gets(ConcurrencyLimit(total, "calls"), "a") == share


def test_for_the_next_client_there_is_always_a_slot():
    limit = ConcurrencyLimit(1000, "calls")
    counts = [as_many_as_it_gets(limit, str(number)) for number in range(3)]
    assert counts[0] > counts[1] > counts[2] > 0


def test_the_refusal_tells_when_to_try_again(take):
    limit = ConcurrencyLimit(1, "calls")
    slot = take(limit, "a")
    with pytest.raises(ResourceExhausted, match="Too many calls at once") as caught:
        take(limit, "b")
    assert (caught.value.reason, caught.value.retry_seconds) == ("BUSY", 1)
    limit.release(slot)
    limit.release(slot)
    assert limit.free == 1


def test_the_longest_idle_slot_of_the_greediest_client_gives_way(take, ended):
    limit = ConcurrencyLimit(5, "connections")
    take(limit, "modest", "modest").wait()
    slots = [take(limit, "greedy", name) for name in "abcd"]
    for slot in (slots[2], slots[1], slots[3]):  # the first is at work
        slot.wait()
    for client in ("new", "newer", "modest", "newest"):
        take(limit, client)
    assert ended == ["c", "b", "d", "modest"]
    assert slots[2].is_evicted
    limit.release(slots[2])
    assert limit.free == 0


def test_a_slot_is_its_clients_for_the_time_allowed(take, ended):
    limit = ConcurrencyLimit(1, "transfers")
    take(limit, "a", "a").wait(60)
    with pytest.raises(ResourceExhausted):
        take(limit, "b")
    assert ended == []


def test_a_greedy_client_takes_nothing_from_a_modest_one(take, ended):
    limit = ConcurrencyLimit(10, "calls")
    take(limit, "modest", "modest").wait()
    assert as_many_as_it_gets(limit, "greedy") == 9
    assert ended == []


async def test_who_gives_way_is_cancelled_and_told():
    limit, began = ConcurrencyLimit(1, "calls"), asyncio.Event()

    async def wait_for_ever():
        async with limit.hold("a") as slot:
            began.set()
            await slot.awaiting(asyncio.Event().wait(), None, "")

    waiting = asyncio.create_task(wait_for_ever())
    await began.wait()
    async with limit.hold("b"):
        with pytest.raises(ResourceExhausted) as caught:
            await waiting
        assert caught.value.reason == "EVICTED"
        assert limit.free == 0
    assert limit.free == 1


@pytest.mark.parametrize("is_preemptible", [False, True])
async def test_who_is_at_work_gives_way_only_if_preemptible(is_preemptible):
    limit = ConcurrencyLimit(1, "watches")

    async def work():
        async with limit.hold("a", is_preemptible=is_preemptible) as slot:
            await slot.awaiting(asyncio.sleep(0), 60, "")
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    while limit.free:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    if is_preemptible:
        async with limit.hold("b"):
            with pytest.raises(ResourceExhausted):
                await working
    else:
        with pytest.raises(ResourceExhausted):
            async with limit.hold("b"):
                pass
        assert not working.done()
        await cancel_and_wait(working)
    assert limit.free == 1


async def test_a_client_that_is_late_ends_the_block_but_its_further_work_has_no_limit():
    limit = ConcurrencyLimit(1, "calls")
    async with limit.hold("a") as slot:
        assert await slot.awaiting(asyncio.sleep(0, "message"), 0.02, "late") == "message"
        await asyncio.sleep(0.1)
    with pytest.raises(DeadlineExceeded, match="late"):
        async with limit.hold("a") as slot:
            await slot.awaiting(asyncio.Event().wait(), 0.02, "late")
    assert limit.free == 1


async def test_a_timeout_of_the_block_itself_stays_one():
    limit = ConcurrencyLimit(1, "calls")
    with pytest.raises(TimeoutError):
        async with limit.hold("a"):
            raise TimeoutError
    assert limit.free == 1

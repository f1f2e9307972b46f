"""Two gateways look after one fleet: one acts, the other follows and takes over. The store may be away for a while."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager

import pytest

from gateway.fleet.instances.instance import InstanceState
from tests.emulators.lighthost import LightHost
from tests.emulators.vastemulator import VastEmulator
from tests.support.fleet_death import Death
from tests.support.fleet_world import World, intervals, living, offers, vast_provider
from tests.support.until import until


@pytest.fixture
def vast():
    with VastEmulator(offers(), LightHost()) as emulator:
        yield emulator


@asynccontextmanager
async def never_both(*worlds):
    """In the block at most one may act at a time; gives the names of those that may now."""

    def acting():
        return [number for number, world in enumerate(worlds) if world.is_leader]

    async def watch():
        while True:
            assert len(acting()) < 2
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    yield acting
    watching.cancel()
    await asyncio.wait([watching])
    assert watching.cancelled() or watching.exception() is None, "both acted"


async def test_of_two_gateways_one_acts_and_the_other_takes_over_when_it_is_killed(records, vast):
    death = Death()
    held = intervals(lease_seconds=3.0)  # on a busy machine too
    first = World(records, vast_provider(vast, death=death), intervals=held, gateway="first", death=death)
    second = World(records, vast_provider(vast), intervals=held, gateway="second")
    async with first, never_both(first, second) as acting:
        await until(lambda: acting() == [0])
        async with second:
            second.waiting = 1  # both see the same queue
            instance = await first.ready()
            await until(lambda: second.pool.ready)
            assert [one.label for one in living(vast)] == [instance.id]
            assert acting() == [0]
            death.come()
            await until(lambda: acting() == [1])
            assert [m.id for m in second.at(InstanceState.READY)] == [instance.id]
            second.waiting = 0
            await second.until_empty()
        assert not living(vast)
        assert vast.called("create") == 1


async def test_who_closes_hands_over_at_once(records, vast):
    slow = intervals(lease_seconds=30.0)
    second = World(records, vast_provider(vast), intervals=slow, gateway="second")
    third = World(records, vast_provider(vast), intervals=slow, gateway="third")
    async with second:
        await until(lambda: second.is_leader)
        async with third:
            third.waiting = 1
            instance = await second.ready()
            second.waiting = 0
            await second.controller.close()
            await until(lambda: third.is_leader)  # a lease that was not given up would last longer than this waits
            assert [m.id for m in third.at(InstanceState.READY)] == [instance.id]
            third.waiting = 0
            await third.until_empty()
    assert not living(vast)


async def test_a_gateway_that_closes_in_the_middle_of_an_order_leaves_an_instance_that_is_found(records, vast):
    vast.answer_seconds = 0.5
    async with World(records, vast_provider(vast)) as first:
        first.waiting = 1
        await until(lambda: living(vast))
    vast.answer_seconds = 0.0
    async with World(records, vast_provider(vast), gateway="second") as second:
        instance = await second.ready()
        assert [one.label for one in living(vast)] == [instance.id]
        second.waiting = 0
        await second.until_empty()
    assert vast.called("create") == 1


async def test_an_outage_of_the_store_in_mid_life_loses_nothing(jetstream, records, vast):
    async with World(records, vast_provider(vast)) as world:
        for state in (InstanceState.PROVISIONING, InstanceState.READY):
            world.waiting = 1
            await world.until_reached(state)
            os.kill(jetstream.server.pid, signal.SIGKILL)  # it is started again after half a second
            await until(lambda: not world.is_leader)
        (instance,) = world.registry.living()
        assert [one.label for one in living(vast)] == [instance.id]
        await until(lambda: world.is_leader)
        world.waiting = 0
        await world.until_empty()
    assert not living(vast)
    assert vast.called("create") == 1

"""What can go wrong at Vast.ai and on its hosts, each with its outcome: no instance is lost, none is made in vain."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
import structlog.testing

from gateway.fleet import billing
from gateway.fleet.autoscaler import Policy
from gateway.fleet.instances.instance import InstanceState, new_label
from servicekit.backoff import Backoff
from tests.emulators.lighthost import LightHost
from tests.emulators.vastemulator import READ_ONLY_KEY, VastEmulator
from tests.emulators.vastmarket import offer
from tests.support.fleet_world import TIMEOUTS, World, ever, intervals, living, offers, vast_provider
from tests.support.until import until

# A pause is never so long past that it begins anew.
DOUBLING = intervals(backoff=Backoff(0.05, 60.0, jitter=0))


@asynccontextmanager
async def outage(vast, kind, seconds=0.3):
    """The API is of no use for some seconds, in which the block runs."""
    vast.is_storming, vast.outage = kind == "storm", "" if kind == "storm" else kind
    until = time.monotonic() + seconds
    yield
    await asyncio.sleep(until - time.monotonic())
    vast.is_storming, vast.outage = False, ""


async def a_host_that_never_comes_up_is_left_and_avoided(records, vast):
    vast.stuck_machines.add(200)
    vast.offers.append(offer(id=110, machine_id=200, host_id=300, dph_base=0.21))  # the next best, on the same host
    async with World(records, vast_provider(vast), timeouts=replace(TIMEOUTS, start_seconds=1.0)) as world:
        world.waiting = 1
        await world.until_reached(InstanceState.TERMINATING)
        world.controller.lifecycles["vast"].timeouts = TIMEOUTS  # the next one may take its time
        instance = await world.ready()
        stuck = await world.until(InstanceState.TERMINATED)
    assert (instance.offer, stuck.offer) == ("101", "100")
    assert stuck.reason == "not ready within 1 s"
    assert [one.label for one in ever(vast)] == [stuck.id, instance.id]


async def an_instance_whose_making_got_no_answer_is_found_and_used(records, vast):
    async with World(records, vast_provider(vast)) as world:
        vast.lost_answers = 1
        instance = await world.ready()
        assert [instance.id] == [one.label for one in ever(vast)]
        assert vast.called("create") == 1


async def an_order_that_was_lost_is_given_up_and_the_next_offer_is_taken(records, vast):
    async with World(records, vast_provider(vast)) as world:
        vast.lost_orders = 1
        instance = await world.ready()
        (plan,) = world.at(InstanceState.TERMINATED)
        assert (plan.reason, plan.usd(time.time()), instance.offer) == ("never created", 0.0, "101")
        assert [one.label for one in ever(vast)] == [instance.id]


async def an_order_that_arrives_when_it_was_given_up_is_destroyed(records, vast):
    """It is on its way for longer than anybody waits, and who sent it is gone."""
    vast.holds_orders = True
    async with World(records, vast_provider(vast)) as world:
        world.waiting = 1
        await until(lambda: vast.orders_held)
    async with World(records, vast_provider(vast), gateway="second") as world:
        plan = await world.until(InstanceState.TERMINATED)
        assert not ever(vast)
        vast.holds_orders = False
        await until(lambda: vast.ended)
        assert [one.label for one in ever(vast)] == [plan.id]
        assert not living(vast)


async def an_offer_that_is_gone_makes_room_for_the_next_one(records, vast):
    # Were it a failure of the provider, no further create would come within the test.
    async with World(records, vast_provider(vast), intervals=intervals(backoff=Backoff(600, 600, jitter=0))) as world:
        vast.taken.add(100)
        instance = await world.ready()
        (gone,) = world.at(InstanceState.TERMINATED)
        assert (gone.offer, gone.usd(time.time()), instance.offer) == ("100", 0.0, "101")
        assert world.monitor.fault == ""


async def an_offer_that_a_search_found_while_it_was_ordered_is_not_ordered_again(records, vast):
    async with World(records, vast_provider(vast), intervals=intervals(backoff=Backoff(600, 600, jitter=0))) as world:
        vast.taken.add(100)
        vast.holds_orders, world.waiting = True, 1
        await until(lambda: vast.orders_held)
        await until(lambda: "100" in [offer.id for offer in world.monitor.offers])
        vast.holds_orders = False
        instance = await world.ready()
        (gone,) = world.at(InstanceState.TERMINATED)
        assert (gone.offer, instance.offer) == ("100", "101")


async def an_order_in_an_outage_is_looked_for_before_another_is_made(records, vast):
    async with World(records, vast_provider(vast)) as world:
        vast.holds_orders, vast.lost_orders, world.waiting = True, 1, 1
        await until(lambda: vast.orders_held)
        vast.outage, vast.holds_orders = "drop", False
        await asyncio.sleep(TIMEOUTS.unclear_seconds + 0.5)
        assert len(world.at(InstanceState.REQUESTED)) == len(world.registry.all()) == vast.called("create") == 1
        vast.outage = ""
        await world.until(InstanceState.READY)
        assert len(living(vast)) == 1


async def an_instance_that_vanishes_is_replaced(records, vast):
    async with World(records, vast_provider(vast)) as world:
        lost = await world.ready()
        vast.vanish(int(lost.provider_id))
        await until(lambda: [m for m in world.at(InstanceState.READY) if m.id != lost.id])
        ended = await world.until(InstanceState.TERMINATED)
        assert (ended.id, ended.reason) == (lost.id, "missing from the provider's list")
        assert len(living(vast)) == 1


async def an_instance_whose_encoder_is_silent_is_terminated(records, vast):
    async with World(records, vast_provider(vast), timeouts=replace(TIMEOUTS, silent_seconds=0.5)) as world:
        silent = await world.ready()
        vast.launch.started[0].is_silent = True
        assert living(vast)
        ended = await world.until(InstanceState.TERMINATED)
        world.controller.lifecycles["vast"].timeouts = TIMEOUTS
        assert (ended.id, ended.reason) == (silent.id, "encoder silent for 0.5 s")
        assert (await world.ready()).offer != silent.offer
        assert len(living(vast)) == 1


async def an_instance_that_cannot_be_destroyed_is_billed_and_tried_again_and_holds_up_no_other(records, vast):
    async with World(records, vast_provider(vast)) as world:
        stuck = await world.ready()
        vast.failing_destroys, world.waiting = 10**6, 0
        await world.until(InstanceState.TERMINATING)
        await until(lambda: world.monitor.fault)
        other = await world.ready()
        assert {m.id for m in world.registry.living()} == {stuck.id, other.id} == {one.label for one in living(vast)}
        before = billing.spent_today(world.at(InstanceState.TERMINATING), time.time())
        await asyncio.sleep(0.1)
        assert billing.spent_today(world.at(InstanceState.TERMINATING), time.time()) > before
        vast.failing_destroys = 0
        freed_at = time.time()
        await until(lambda: [m for m in world.at(InstanceState.TERMINATED) if m.id == stuck.id])
        assert world.registry.cached[stuck.id].ended_at > freed_at
        assert world.monitor.fault == ""
        world.waiting = 0
        await world.until_empty()
        assert not living(vast)


async def instances_that_nobody_has_on_record_are_destroyed_and_those_of_other_fleets_are_not(records, vast):
    others = [vast.add(text).number for text in (new_label("other"), new_label("api-gpu-two"), "api-gpu", None)]
    vast.add(new_label("api-gpu"))
    async with World(records, vast_provider(vast)) as world:
        await until(lambda: set(vast.instances) == set(others))
        vast.failing_destroys = 3  # more than a call is tried
        vast.add(new_label("api-gpu"))
        await until(lambda: set(vast.instances) == set(others))
        assert not world.registry.all()
        await world.ready()
        await asyncio.sleep(0.3)
        assert len(living(vast)) == 1
        assert set(others) < set(vast.instances)


async def a_record_that_cannot_be_read_holds_up_nothing_else(records, vast):
    unreadable = new_label("api-gpu")
    await records.create(f"machine.{unreadable}", b'{"of": "another version"}')
    kept = vast.add(unreadable)
    vast.add(new_label("api-gpu"))
    async with World(records, vast_provider(vast)) as world:
        await world.ready()
        await until(lambda: len(vast.ended) == 1)
        assert kept.number in vast.instances  # who wrote the record looks after it


async def a_wrong_key_is_told_and_nothing_is_ordered(records, vast):
    async with World(records, vast_provider(vast, key="wrong"), intervals=DOUBLING) as world:
        world.waiting = 1
        await until(lambda: "VAST_API_KEY" in world.monitor.fault)
        await calls_less_and_less(vast, "search")
        await calls_less_and_less(vast, "list")
        assert not world.registry.all()


async def without_credit_it_asks_less_and_less_and_goes_on_once_there_is_some(records, vast):
    vast.credit = 0.0
    async with World(records, vast_provider(vast), intervals=DOUBLING) as world:
        await less_and_less(world, vast, "credit")
        vast.credit = 10.0
        await world.until(InstanceState.READY)
        assert world.monitor.fault == ""


async def with_a_key_that_may_not_order_it_asks_less_and_less(records, vast):
    async with World(records, vast_provider(vast, key=READ_ONLY_KEY), intervals=DOUBLING) as world:
        await less_and_less(world, vast, "VAST_API_KEY")


async def less_and_less(world, vast, reason):
    world.waiting = 1
    await until(lambda: world.monitor.fault)
    shown = set()
    await until(lambda: shown.add(world.monitor.fault) or vast.called("create") > 3)
    (fault,) = shown
    assert reason in fault
    await calls_less_and_less(vast, "create")
    assert sum(m.usd(time.time()) for m in world.at(InstanceState.TERMINATED)) == 0


async def calls_less_and_less(vast, name):
    """The emulator is called at no shorter intervals than the pauses after each failure."""
    await until(lambda: vast.called(name) > 3)
    times = [at for call, at in vast.calls if call == name]
    for failures, (earlier, later) in enumerate(pairwise(times), 1):
        assert later - earlier >= DOUBLING.backoff.pause_seconds(failures)


async def offers_of_long_ago_are_not_taken(records, vast):
    async with World(records, vast_provider(vast), Policy(maximum=1, idle_seconds=0.1)) as world:
        await world.ready()
        world.waiting = 0
        await world.until_empty()
        assert world.monitor.offers
        await asyncio.sleep(0.7)
        vast.offers[:] = [offer(id=500)]
        assert (await world.ready()).offer == "500"
        assert vast.called("create") == 2


# They mostly wait: those of a group live side by side, each with a fleet and an emulator of its own.
FAULTS = {
    "orders": (
        an_instance_whose_making_got_no_answer_is_found_and_used,
        an_order_that_was_lost_is_given_up_and_the_next_offer_is_taken,
        an_order_that_arrives_when_it_was_given_up_is_destroyed,
        an_offer_that_is_gone_makes_room_for_the_next_one,
        an_offer_that_a_search_found_while_it_was_ordered_is_not_ordered_again,
        an_order_in_an_outage_is_looked_for_before_another_is_made,
    ),
    "instances": (
        a_host_that_never_comes_up_is_left_and_avoided,
        an_instance_that_vanishes_is_replaced,
        an_instance_whose_encoder_is_silent_is_terminated,
        an_instance_that_cannot_be_destroyed_is_billed_and_tried_again_and_holds_up_no_other,
        instances_that_nobody_has_on_record_are_destroyed_and_those_of_other_fleets_are_not,
        a_record_that_cannot_be_read_holds_up_nothing_else,
    ),
    "account": (
        a_wrong_key_is_told_and_nothing_is_ordered,
        without_credit_it_asks_less_and_less_and_goes_on_once_there_is_some,
        with_a_key_that_may_not_order_it_asks_less_and_less,
        offers_of_long_ago_are_not_taken,
    ),
}


async def met(jetstream, fault):
    with VastEmulator(offers(), LightHost()) as vast:
        try:
            await fault(await jetstream.key_value(fault.__name__), vast)
        except BaseException as error:
            error.add_note(fault.__name__)
            raise


async def test_a_record_of_a_later_version_is_no_error_in_each_round(records):
    unreadable = new_label("api-gpu")
    await records.create(f"machine.{unreadable}", b'{"of": "another version"}')
    with VastEmulator(offers(), LightHost()) as vast, structlog.testing.capture_logs() as logs:
        kept, stray = vast.add(unreadable), vast.add(new_label("api-gpu"))
        async with World(records, vast_provider(vast)) as world:
            await until(lambda: stray in vast.ended)
            seen_at = world.monitor.instances_at
            await until(lambda: world.monitor.instances_at > seen_at)
        assert kept.number in vast.instances
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == [
        "cannot read a record; it is left alone"
    ]


@pytest.mark.parametrize("group", FAULTS)
async def test_every_fault_has_its_outcome(jetstream, group):
    async with asyncio.TaskGroup() as together:
        for fault in FAULTS[group]:
            together.create_task(met(jetstream, fault))


async def live_through(records, kind):
    """An instance's life with an outage in each phase."""
    with VastEmulator(offers(), LightHost(), step_seconds=0.1) as vast:
        async with World(records, vast_provider(vast)) as world:
            async with outage(vast, kind):
                world.waiting = 1
                await until(lambda: world.monitor.fault)
                assert not world.registry.all()
            await world.until_reached(InstanceState.PROVISIONING)
            async with outage(vast, kind):
                await until(lambda: world.monitor.fault)
            instance = await world.until(InstanceState.READY)
            async with outage(vast, kind, 0.5):  # longer than what would be a fault if it were seen
                await until(lambda: world.monitor.fault)
            assert [m.id for m in world.at(InstanceState.READY)] == [instance.id]
            async with outage(vast, kind):
                world.waiting = 0
                await world.until(InstanceState.TERMINATING)
                await asyncio.sleep(0.1)
                assert [m.id for m in world.registry.living()] == [one.label for one in living(vast)] == [instance.id]
            await world.until_empty()
        assert [one.label for one in ever(vast)] == [instance.id]
        assert not living(vast)


async def test_an_outage_of_the_api_loses_nothing_in_any_phase(jetstream):
    async with asyncio.TaskGroup() as lives:
        for kind in ("502", "drop", "storm"):
            lives.create_task(live_through(await jetstream.key_value(kind), kind))

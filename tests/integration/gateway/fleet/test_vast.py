"""The provider against the emulated Vast.ai: orders, what is found, destroys, and all that goes wrong."""

import asyncio
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from gateway.fleet.instances.credentials import LaunchSpec
from gateway.fleet.instances.instance import new_label
from gateway.fleet.providers.base import LaunchUnknown, OfferGone
from servicekit.errors import FailedPrecondition, Unauthenticated, Unavailable
from servicekit.tasks import cancel_and_wait
from tests.emulators.vastemulator import READ_ONLY_KEY
from tests.emulators.vastrig import BACKOFF, FLEET, IMAGE, emulated, opened_on
from tests.support.until import until, until_async, within


@pytest.fixture
def vast():
    with emulated() as emulator:
        yield emulator


@pytest.fixture
async def opened(vast):
    async with opened_on(vast) as make:
        yield make


@pytest.fixture
def provider(opened):
    return opened()


def launch():
    return LaunchSpec(new_label(FLEET), {"SESSION_TOKEN": "token"})


async def created(provider):
    order = launch()
    return await provider.create((await provider.offers())[0], order), order.label


async def listed(provider, holds):
    async def found():
        instances = await provider.list_instances()
        return holds(instances) and instances

    return await until_async(found)


async def test_an_instance_runs_the_image_with_what_it_is_given(vast, provider):
    number, label = await created(provider)
    instance = vast.instances[int(number)]
    assert (instance.label, instance.order["image"], instance.order["runtype"]) == (label, IMAGE, "args")
    assert instance.order["env"]["-p 50052:50052"] == "1"
    given = {"PORT": "50052", "HOST": "0.0.0.0", "BATCH_SIZE": "3", "CODEC": "nvenc", "SESSION_TOKEN": "token"}
    given |= {"IDLE_EXIT_SECONDS": "1800", "MAX_TASK_SECONDS": "7200.0", "MAX_INPUT_BYTES": "1000000"}
    assert instance.environment == given
    (found,) = await listed(provider, lambda found: found[0].address)
    assert (found.provider_id, found.label, found.fault) == (number, label, "")
    assert found.address == f"127.0.0.1:{instance.ports['50052/tcp']}"
    assert found.usd_per_hour == pytest.approx(0.2 + 0.15 * 20 / 720)
    await provider.destroy(number)
    assert (await provider.list_instances(), vast.instances) == ([], {})


async def test_only_instances_of_this_fleet_are_found_on_all_pages(vast, provider):
    for label in [*(new_label(FLEET) for _ in range(30)), new_label("api-gpu-b"), "by-hand", None]:
        vast.add(label)
    found = await provider.list_instances()
    assert len({one.provider_id for one in found}) == 30
    assert vast.called("list") == 2


async def test_an_answer_without_a_list_is_no_word_of_having_nothing(vast, provider):
    await created(provider)
    for body in ({"success": True}, {"instances": None}, {"instances": {}}):
        vast.listed = body
        with pytest.raises(Unavailable, match="list of instances"):
            await provider.list_instances()


async def test_a_list_without_an_end_is_given_up(vast, provider):
    vast.listed = {"instances": [], "next_token": "1"}
    with pytest.raises(Unavailable, match="no end"):
        await within(provider.list_instances())


async def test_a_create_whose_answer_is_lost_is_unclear_and_not_repeated(vast, provider):
    vast.lost_answers = 1
    offers, order = await provider.offers(), launch()
    with pytest.raises(LaunchUnknown):
        await provider.create(offers[0], order)
    assert vast.called("create") == 1
    assert [found.label for found in await provider.list_instances()] == [order.label]
    assert offers[0].id not in [one.id for one in await provider.offers()]


@pytest.mark.parametrize("outage", ["502", "drop"])
async def test_a_create_at_an_api_that_is_down_is_unclear(vast, provider, outage):
    offers = await provider.offers()
    vast.outage = outage
    with pytest.raises(LaunchUnknown):
        await provider.create(offers[0], launch())
    assert vast.called("create") == 1


async def test_a_create_that_never_left_made_nothing(vast, provider):
    offers = await provider.offers()
    vast.__exit__()
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        await provider.create(offers[0], launch())
    assert not isinstance(caught.value, LaunchUnknown)


async def test_an_offer_that_somebody_else_took_is_gone(vast, provider):
    first, second = await provider.offers()
    vast.taken.add(int(first.id))
    with pytest.raises(OfferGone):
        await provider.create(first, launch())
    assert [one.id for one in await provider.offers()] == [second.id]
    assert await provider.create(second, launch())


async def test_an_offer_that_is_refused_for_its_own_reason_is_left_alone_and_others_are_not(vast, provider):
    first, second = await provider.offers()
    vast.refused_offers.add(int(first.id))
    with pytest.raises(FailedPrecondition, match="does not take this order"):
        await provider.create(first, launch())
    assert [one.id for one in await provider.offers()] == [second.id]
    vast.credit = 0.0
    with pytest.raises(FailedPrecondition, match="no credit"):
        await provider.create(second, launch())
    assert [one.id for one in await provider.offers()] == [second.id]


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ({"credit": 0.0}, "NO_CREDIT", "no credit"),
        ({"refused_images": {IMAGE}}, "IMAGE", "VAST_WORKER_IMAGE"),
    ],
)
async def test_what_the_account_lacks_is_told(vast, provider, fault, reason, words):
    for name, value in fault.items():
        setattr(vast, name, value)
    with pytest.raises(FailedPrecondition, match=words) as caught:
        await created(provider)
    assert caught.value.reason == reason
    assert not isinstance(caught.value, OfferGone)
    assert vast.instances == {}


async def test_a_wrong_key_is_told(vast, opened):
    with pytest.raises(Unauthenticated, match="VAST_API_KEY"):
        await opened(key="wrong").list_instances()
    assert vast.called("list") == 1


async def test_a_key_without_the_right_to_write_is_told(vast, opened):
    with pytest.raises(Unauthenticated, match="instance_write"):
        await created(opened(key=READ_ONLY_KEY))
    assert vast.instances == {}


async def test_calls_keep_their_distance(vast, opened):
    provider, begun = opened(intervals={"list": 0.1}), time.monotonic()
    await asyncio.gather(*(provider.list_instances() for _ in range(8)))
    assert time.monotonic() - begun > 0.69
    assert vast.called("list") == 8


async def test_a_call_that_comes_too_soon_is_made_again(vast, opened):
    vast.pace = 0.05
    provider = opened(attempts=100)
    assert await asyncio.gather(*(provider.list_instances() for _ in range(4))) == [[]] * 4


async def test_too_many_at_once_are_refused_on_this_side(vast, opened):
    provider = opened(intervals={"list": 60.0}, max_wait_seconds=90.0)
    calls = [asyncio.create_task(provider.list_instances()) for _ in range(3)]
    with pytest.raises(Unavailable, match="rate limit allows no call"):
        await within(calls[2])
    assert await within(calls[0]) == []
    await cancel_and_wait(calls[1])


async def test_a_storm_is_waited_out_and_a_create_in_it_makes_nothing(vast, opened):
    provider = opened(attempts=20)
    offers = await provider.offers()
    vast.is_storming = True
    with pytest.raises(Unavailable) as caught:
        await provider.create(offers[0], launch())
    assert not isinstance(caught.value, LaunchUnknown)
    listing = asyncio.create_task(provider.list_instances())
    await until(lambda: vast.called("list") == 4)
    vast.is_storming = False
    assert await within(listing) == []
    assert vast.called("create") == 1
    times = [at for call, at in vast.calls if call == "list"]
    for failures, (earlier, later) in enumerate(pairwise(times), 1):
        assert later - earlier >= min_pause_seconds(failures)


def min_pause_seconds(failures):
    """What chance leaves of a pause."""
    return (1 - BACKOFF.jitter) * replace(BACKOFF, jitter=0).pause_seconds(failures)


@pytest.mark.parametrize("outage", ["502", "drop"])
async def test_an_api_that_is_down_is_asked_again_and_then_told(vast, provider, outage):
    vast.outage = outage
    with pytest.raises(Unavailable) as caught:
        await provider.list_instances()
    assert not isinstance(caught.value, LaunchUnknown)
    assert vast.called("list") == 4
    vast.outage = ""
    assert await provider.list_instances() == []


async def test_when_the_searches_of_the_day_are_used_up_nothing_is_asked_for_a_while(vast, provider):
    vast.searches_left = 0
    with pytest.raises(Unavailable, match="0:00 UTC"):
        await provider.offers()
    with pytest.raises(Unavailable):
        await provider.offers()
    assert vast.called("search") == 1


async def test_a_destroy_is_repeated_until_it_is_done(vast, provider):
    number, _ = await created(provider)
    vast.failing_destroys = 2
    await provider.destroy(number)
    assert vast.instances == {}
    assert vast.called("destroy") == 3


async def test_a_destroy_that_cannot_be_done_is_told_and_one_of_nothing_is_not(vast, provider):
    number, _ = await created(provider)
    vast.failing_destroys = 4
    with pytest.raises(Unavailable):
        await provider.destroy(number)
    await provider.destroy(number)
    await provider.destroy(number)
    await provider.destroy("1")


async def test_an_instance_that_vanishes_is_found_no_more(vast, provider):
    number, _ = await created(provider)
    vast.vanish(int(number))
    assert await provider.list_instances() == []


async def test_a_host_that_is_cut_off_is_a_fault(vast, provider):
    number, _ = await created(provider)
    await listed(provider, lambda found: found[0].address)
    vast.go_offline(int(number))
    (found,) = await provider.list_instances()
    assert (found.fault.split(":")[0], found.address) == ("offline", "")


async def test_a_price_that_rose_above_the_most_is_a_fault(vast, provider):
    offers = await provider.offers()
    vast.offers[0]["dph_base"] = 0.6
    vast.offers[1]["dph_base"] = 0.4
    for one in offers:
        await provider.create(one, launch())
    dear, fair = await provider.list_instances()
    assert (dear.fault, fair.fault) == ("it costs $0.604 an hour", "")
    assert fair.usd_per_hour == pytest.approx(0.4 + 0.15 * 20 / 720)


@pytest.mark.parametrize("price", [None, "free", -1])
async def test_a_price_that_cannot_be_read_hides_no_instance(vast, provider, price):
    number, _ = await created(provider)
    vast.instances[int(number)].row["dph_total"] = price
    (found,) = await provider.list_instances()
    assert (found.usd_per_hour, found.fault) == (0.0, "")  # that of the offer holds


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("call", ["offers", "list_instances"])
async def test_an_api_that_is_gone_as_a_whole_is_told_with_what_to_do(vast, provider, status, call):
    vast.outage = str(status)
    with pytest.raises(FailedPrecondition, match=r"retired.* VAST_URL") as caught:
        await getattr(provider, call)()
    assert caught.value.reason == "API_RETIRED"


async def test_an_image_that_is_not_there_is_a_fault(vast, provider):
    vast.bad_images[IMAGE] = f"manifest for {IMAGE} not found"
    await created(provider)
    (found,) = await listed(provider, lambda found: found[0].fault)
    assert f"manifest for {IMAGE} not found" in found.fault


async def test_a_host_that_never_comes_up_has_no_address(vast, provider):
    vast.stuck_machines = {row["machine_id"] for row in vast.offers}
    await created(provider)
    await asyncio.sleep(0.1)
    (found,) = await provider.list_instances()
    assert (found.address, found.fault) == ("", "")

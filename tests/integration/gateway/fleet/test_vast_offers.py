"""What the provider offers: which hosts of the emulated Vast.ai suit, in which order, and which are left alone."""

from dataclasses import replace

import pytest

from gateway.fleet.instances.instance import Instance
from tests.emulators.vastmarket import offer
from tests.emulators.vastrig import emulated, opened_on


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


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


def machine_on(offered):
    return Instance("m", "vast", 0.2, 0.0, host=offered.host)


async def test_offers_are_those_that_suit_the_best_for_the_work_first(vast, opened):
    slow = offer(dph_base=0.18, inet_down=210.0, gpu_name="RTX 3060")
    vast.offers += [
        slow,
        offer(dph_base=0.9),
        offer(dph_base=0.1, gpu_name="H100 SXM"),
        offer(dph_base=0.1, gpu_name="A100X PCIE"),
        offer(dph_base=0.1, gpu_name="GT 1030"),
        offer(dph_base=0.1, driver_version="525.60.13"),
        offer(dph_base=0.1, reliability=0.97),
        offer(dph_base=0.1, inet_down=150.0),
        offer(dph_base=0.1, inet_up=50.0),
        offer(dph_base=0.1, direct_port_count=1),
        offer(dph_base=0.1, disk_space=10.0),
        offer(dph_base=0.1, duration=3600.0),
        offer(dph_base=0.1, verification="deverified"),
        offer(dph_base=0.1, rentable=False),
        offer(dph_base=0.1, rented=True),
        offer(dph_base=0.1, external=1),
        offer(dph_base=0.1, num_gpus=2),
        offer(dph_base=0.1, gpu_arch="amd"),
        offer(dph_base=0.1, cpu_arch="arm64"),
    ]
    provider = opened()
    found = await provider.offers()
    assert [one.id for one in found] == [str(row["id"]) for row in (*vast.offers[:2], slow)]
    assert found[0].usd_per_hour == pytest.approx(0.2 + 0.15 * 20 / 720)  # with the disk
    assert found[0].host == f"{vast.offers[0]['host_id']}/{vast.offers[0]['machine_id']}"
    assert found[0].description == "RTX 4090, Norway, NO"
    assert found[2].setup_seconds > found[0].setup_seconds


async def test_the_more_work_the_better_a_card_is_worth_its_price(vast, opened):
    vast.offers[:] = [offer(dph_base=0.2, gpu_name="RTX 3060"), offer(dph_base=0.3, gpu_name="RTX 4090")]
    provider = opened()
    orders = []
    for tasks in (1, 500):
        provider.set_workload(tasks, task_seconds=60)
        orders.append([one.description.split(",")[0] for one in await provider.offers()])
    assert orders == [["RTX 3060", "RTX 4090"], ["RTX 4090", "RTX 3060"]]


async def test_what_tasks_took_on_a_card_counts_for_its_next_offers(vast, opened):
    vast.offers[:] = [offer(dph_base=0.2, gpu_name="RTX 3060"), offer(dph_base=0.3, gpu_name="RTX 4090")]
    provider = opened()
    provider.set_workload(500, task_seconds=60)
    done = Instance("m", "vast", 0.2, 0.0, description="RTX 3060, Norway, NO", busy_seconds=200.0, tasks=10)
    provider.record_outcome(done)
    provider.record_outcome(replace(done, busy_seconds=100.0))
    provider.record_outcome(replace(done, busy_seconds=0.0, tasks=0))
    provider.record_outcome(replace(done, busy_seconds=4.0))  # it sent its tasks away
    best, _ = await provider.offers()
    assert (best.description, best.task_seconds) == ("RTX 3060, Norway, NO", 15.0)


async def test_only_the_cards_that_are_named(vast, opened):
    vast.offers.append(offer(dph_base=0.4, gpu_name="RTX 3090"))
    assert [one.description.split(",")[0] for one in await opened(gpus=("RTX_3090", "L4")).offers()] == ["RTX 3090"]


async def test_a_machine_that_failed_is_left_alone_for_twice_as_long_each_time(vast, opened):
    clock = Clock()
    provider = opened(clock=clock)
    first, second = await provider.offers()
    for seconds in (900, 1800):
        provider.blacklist(machine_on(first))
        clock.now += seconds - 1
        assert [one.id for one in await provider.offers()] == [second.id]
        clock.now += 1
        assert len(await provider.offers()) == 2


async def test_a_host_of_which_two_machines_failed_is_left_alone(vast, opened):
    vast.offers[:] = [offer(host_id=7, dph_base=price) for price in (0.2, 0.21, 0.22)] + [offer(dph_base=0.3)]
    provider = opened()
    offers = await provider.offers()
    provider.blacklist(machine_on(offers[0]))
    assert [one.id for one in await provider.offers()] == [one.id for one in offers[1:]]
    provider.blacklist(machine_on(offers[1]))
    assert [one.id for one in await provider.offers()] == [offers[3].id]


async def test_an_offer_that_cannot_be_read_hides_no_other(vast, provider):
    vast.offers[0]["host_id"] = vast.offers[0]["public_ipaddr"] = None
    vast.offers[0]["gpu_frac"] = None
    vast.offers[0]["cpu_cores_effective"] = "many"
    assert [one.id for one in await provider.offers()] == [str(vast.offers[1]["id"])]

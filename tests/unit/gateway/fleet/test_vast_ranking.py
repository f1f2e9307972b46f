"""Offers are ranked by what the work costs on them; what failed is left alone."""

import math

import pytest

from gateway.fleet.providers.vast.ranking import VastOffer, Workload, can_encode, engines, estimate, rank
from tests.emulators.vastmarket import offer

FEW, MANY = Workload(tasks=1, task_seconds=20), Workload(tasks=500, task_seconds=20)


def offered(name, usd=0.3, **changes):
    return VastOffer(**({"id": name, "machine": name, "host": name, "card": "RTX 3060", "usd_per_hour": usd}
                  | {"down_mbps": 1000.0, "up_mbps": 1000.0} | changes))  # fmt: skip


def order(offers, work, image_gb=1.0, slots=1):
    return [run.offer.id for run in rank(offers, work, image_gb, slots)]


def test_of_equals_the_cheapest_comes_first():
    assert order([offered("b", 0.4), offered("a", 0.2)], FEW) == ["a", "b"]


def test_a_slow_line_costs_more_than_it_saves_when_the_work_is_little():
    slow, fast = offered("slow", 0.2, down_mbps=50.0), offered("fast", 0.3)
    assert order([slow, fast], FEW, image_gb=5.0) == ["fast", "slow"]
    assert order([slow, fast], Workload(tasks=500, task_seconds=20, gigabytes_in=0.001), image_gb=5.0) == [
        "slow",
        "fast",
    ]


def test_a_better_card_is_worth_more_the_more_work_there_is():
    weak, strong = offered("weak", 0.2, cores=8.0), offered("strong", 0.3, card="RTX 4090", cores=8.0)
    assert order([weak, strong], FEW, slots=3) == ["weak", "strong"]
    assert order([weak, strong], MANY, slots=3) == ["strong", "weak"]


def test_encoders_without_cores_to_feed_them_are_no_gain():
    fed, starved = offered("fed", cores=12.0, card="L40S"), offered("starved", cores=2.0, card="L40S")
    assert estimate(fed, MANY, 1.0, 3).task_seconds * 6 == pytest.approx(estimate(starved, MANY, 1.0, 3).task_seconds)


def test_what_was_measured_counts_for_more_than_the_guess():
    work = Workload(tasks=500, task_seconds=20, measured={"RTX 3060": 5.0})
    strong = offered("strong", 0.3, card="RTX 4090", cores=8.0)
    assert order([strong, offered("weak", 0.3)], work) == ["weak", "strong"]


def test_traffic_that_is_paid_for_is_counted():
    assert order([offered("dear", 0.2, down_usd_per_gb=0.1), offered("free", 0.25)], MANY) == ["free", "dear"]


def test_an_estimate_is_price_by_time():
    found = estimate(offered("a", 3.6), Workload(tasks=10, task_seconds=30, gigabytes_in=0, gigabytes_out=0), 1.0, 1)
    assert (found.setup_seconds, found.task_seconds) == (48.0, 30.0)
    assert found.usd == pytest.approx(0.001 * (48 + 300))


@pytest.mark.parametrize(
    "card", ["A100 SXM4", "A100_PCIE", "H100 SXM", "H200", "B200", "A30", "GH200 SXM", "Tesla A100"]
)
def test_chips_for_computing_cannot_encode(card):
    assert not can_encode(card)


@pytest.mark.parametrize("card", ["RTX 4090", "Tesla T4", "L4", "A10", "A40", "RTX A4000", "RTX 3060 Ti", "Tesla V100"])
def test_other_cards_can(card):
    assert can_encode(card)


def test_encoders_of_a_chip_go_by_its_name_and_no_shorter_one():
    assert [engines(card) for card in ("RTX 4090 D", "RTX_4070 Ti", "RTX 4070", "L40", "L4", "RTX 6000 Ada")] == [
        *(2, 2, 1, 3, 2, 3),
    ]


@pytest.mark.parametrize("value", [None, 0, 0.0, "", "free", -0.1, math.nan, math.inf, [], {}])
def test_an_offer_without_a_price_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        VastOffer.parse({**offer(), "dph_total": value})


def test_an_offer_that_names_no_price_at_all_is_refused():
    with pytest.raises(KeyError):
        VastOffer.parse({name: row for name, row in offer().items() if name != "dph_total"})


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "much"])
def test_traffic_whose_price_is_none_makes_no_offer_cheap(value):
    with pytest.raises(ValueError):
        VastOffer.parse({**offer(), "dph_total": 0.3, "inet_down_cost": value})

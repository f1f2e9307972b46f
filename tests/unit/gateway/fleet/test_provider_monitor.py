"""What is told of a provider's faults, and for how long."""

import asyncio

from gateway.fleet.providers.monitor import CREATE, OFFERS, ProviderMonitor
from servicekit.backoff import Backoff
from servicekit.errors import FailedPrecondition
from tests.support.until import until


class Idle:
    """A provider that is never asked."""

    name = "vast"


async def test_a_fault_is_told_while_it_rests_and_a_little_longer():
    market = ProviderMonitor(Idle(), Backoff(0.1, 0.1, jitter=0), fault_shown_seconds=0.2)
    market.failed(CREATE, FailedPrecondition("no credit"))
    market.succeeded(OFFERS)
    await asyncio.sleep(0.15)  # it does not rest any more
    assert market.fault == "no credit"
    await until(lambda: not market.fault)


async def test_what_works_again_is_no_fault_and_of_two_the_other_one_is_told():
    market = ProviderMonitor(Idle())
    market.failed(CREATE, FailedPrecondition("no credit"))
    market.failed(OFFERS, FailedPrecondition("no key"))
    market.succeeded(CREATE)
    assert market.fault == "no key"
    market.succeeded(OFFERS)
    assert market.fault == ""

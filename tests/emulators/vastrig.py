"""A provider for Vast.ai and an emulator for it to speak to, which takes calls as often as they come."""

import time
from contextlib import asynccontextmanager
from types import MappingProxyType

from gateway.fleet.providers.base import ProviderContext
from gateway.fleet.providers.vast.client import VastClient
from gateway.fleet.providers.vast.provider import VastProvider, VastSettings
from servicekit.backoff import Backoff
from tests.emulators.vastemulator import KEY, VastEmulator
from tests.emulators.vastmarket import offer

IMAGE, FLEET, BACKOFF = "org/encoder:1", "api-gpu", Backoff(0.01, 1)


def context(fleet=FLEET, max_input_bytes=8 << 30):
    """What the gateway gives a provider that needs neither its assets nor its links."""
    return ProviderContext(
        fleet_name=fleet,
        start_seconds=600.0,
        max_age_seconds=6 * 3600.0,
        max_task_seconds=7200.0,
        max_input_bytes=max_input_bytes,
        gateway_networks=(),
        public_url="",
        assets=None,
        links=None,
        tickets=None,
    )


def emulated():
    """Two offers of the same card."""
    return VastEmulator([offer(dph_base=0.2), offer(dph_base=0.3)])


@asynccontextmanager
async def opened_on(vast):
    """Makes providers, and closes them."""
    made = []

    def make(key=KEY, clock=time.monotonic, intervals=MappingProxyType({}), attempts=4, max_wait_seconds=2.0, **wishes):
        client = VastClient(vast.url, key, intervals, BACKOFF, max_wait_seconds, attempts)
        settings = VastSettings(worker_image=IMAGE, **{"max_usd_per_hour": 0.5} | wishes)
        made.append(VastProvider(client, settings, context(max_input_bytes=1_000_000), offers_seconds=0, clock=clock))
        return made[-1]

    yield make
    for provider in made:
        await provider.close()

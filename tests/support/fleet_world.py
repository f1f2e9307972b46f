"""One gateway's part of the fleet, with the real provider of Vast.ai before the emulated one; and how to wait."""

import contextlib
from dataclasses import replace

from gateway.fleet.autoscaler import Policy
from gateway.fleet.controller import FleetConfig, Intervals
from gateway.fleet.fleet import open_fleet
from gateway.fleet.instances.instance import InstanceState, is_label_of
from gateway.fleet.lifecycle import LifecycleTimeouts
from gateway.fleet.providers.vast.client import VastClient
from gateway.fleet.providers.vast.provider import VastProvider, VastSettings
from gateway.workers.pool import Pool
from servicekit.backoff import Backoff
from tests.emulators.vastemulator import KEY
from tests.emulators.vastmarket import offer
from tests.emulators.vastrig import context
from tests.support.fleet_death import MortalClient, MortalStore
from tests.support.until import until

INTERVALS = Intervals(
    tick_seconds=0.02,
    lease_seconds=0.5,
    provisioning_list_seconds=0.05,
    reconcile_seconds=0.2,
    offers_seconds=0.3,
    backoff=Backoff(0.05, 0.4, jitter=0),
)
# Long enough for a busy machine: a test that waits for one of them sets it itself, but for the last.
TIMEOUTS = LifecycleTimeouts(start_seconds=120.0, silent_seconds=60.0, unclear_seconds=2.0)
POLICY = Policy(maximum=2, idle_seconds=0.1)


def offers(count=3):
    """Offers of a host each, the cheapest first: numbers 100, 101, …"""
    return [offer(id=100 + n, machine_id=200 + n, host_id=300 + n, dph_base=0.2 + 0.02 * n) for n in range(count)]


def vast_provider(vast, fleet="api-gpu", key=KEY, death=None):
    client = VastClient(vast.url, key, {}, Backoff(0.02, 1), attempts=2)
    client = client if death is None else MortalClient(client, death)
    settings = VastSettings(worker_image="org/encoder:1", max_usd_per_hour=0.5)
    return VastProvider(client, settings, context(fleet), offers_seconds=0.05)


class World:
    """One gateway's fleet. `waiting` is the queue."""

    tasks_running = 0

    def __init__(
        self,
        records,
        provider,
        policy=POLICY,
        timeouts=TIMEOUTS,
        intervals=INTERVALS,
        fleet="api-gpu",
        gateway="gateway",
        death=None,
    ):
        self.waiting, self.policy, self.death, self.gateway = 0, policy, death, gateway
        self.records = records if death is None else MortalStore(records, death)
        self.pool, self.provider = Pool(poll_seconds=0.2), provider
        self.config = FleetConfig(fleet, policy, [provider.name], timeouts, intervals)
        self.stack, self.controller = contextlib.AsyncExitStack(), None

    @property
    def monitor(self):
        return self.controller.monitors[self.provider.name]

    @property
    def is_leader(self):
        return self.controller is not None and self.controller.lease.is_held

    @property
    def tasks_waiting(self):
        return self.waiting

    tasks_held_back = 0

    def oldest_wait_seconds(self, now):
        return 0.0

    def operations_waiting(self):
        return {}

    def deadlines(self):
        return []

    async def __aenter__(self):
        self.stack.push_async_callback(self.pool.close)
        providers = {self.provider.name: self.provider}
        fleet = await open_fleet(self.config, self.records, self.pool, self, providers, self.stack, self.gateway)
        self.controller, self.registry = fleet.controller, fleet.registry
        self.assignments, self.estimate_store = fleet.assignments, fleet.estimate_store
        self.controller.start()
        self.stack.push_async_callback(self.controller.close)
        return self

    async def __aexit__(self, *_):
        if self.death is not None:
            self.death.bury()
        await self.stack.aclose()

    def at(self, state):
        """The instances in a state."""
        return [instance for instance in self.registry.all() if instance.state is state]

    async def until(self, state):
        """The instance that gets to a state."""
        return (await until(lambda: self.at(state)))[0]

    async def until_reached(self, state):
        """The instance that gets to a state, or has passed it."""
        states = list(InstanceState)
        reached = states[states.index(state) :]
        return (await until(lambda: [one for one in self.registry.all() if one.state in reached]))[0]

    async def until_empty(self):
        """No instance is billed by the records."""
        await until(lambda: not self.registry.living())

    async def ready(self):
        """The instance that is there for one task that waits."""
        self.waiting = 1
        return await self.until(InstanceState.READY)


def living(vast, fleet="api-gpu"):
    """The instances that the fleet is billed for at the emulated Vast.ai."""
    return [instance for instance in list(vast.instances.values()) if is_label_of(fleet, instance.label or "")]


def ever(vast, fleet="api-gpu"):
    """All that it ever had there."""
    return [one for one in [*vast.ended, *list(vast.instances.values())] if is_label_of(fleet, one.label or "")]


def intervals(**changes):
    return replace(INTERVALS, **changes)

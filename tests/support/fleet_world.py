"""One gateway's part of the fleet, with the real provider of Vast.ai before the emulated one; and how to wait."""

from dataclasses import replace

from gateway.cluster.assignments import TaskAssignments
from gateway.cluster.leader import LeaderLease
from gateway.fleet.autoscaler import Demand, Policy
from gateway.fleet.controller import FleetController, Intervals
from gateway.fleet.estimates import EstimateStore
from gateway.fleet.instances.instance import InstanceState, is_label_of
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.lifecycle import LifecycleTimeouts
from gateway.fleet.metering import UsageMeter
from gateway.fleet.pool_sync import PoolSync
from gateway.fleet.providers.vast.client import VastClient
from gateway.fleet.providers.vast.provider import VastProvider
from gateway.fleet.providers.vast.search import OfferFilter
from gateway.workers.pool import Pool
from servicekit.backoff import Backoff
from tests.emulators.vastemulator import KEY
from tests.emulators.vastmarket import offer
from tests.support.fleet_death import MortalClient, MortalStore
from tests.support.until import until

RHYTHM = Intervals(
    tick_seconds=0.02,
    lease_seconds=0.5,
    look_seconds=0.05,
    reconcile_seconds=0.2,
    shop_seconds=0.3,
    backoff=Backoff(0.05, 0.4, jitter=0),
)
PATIENCE = LifecycleTimeouts(start_seconds=20.0, silent_seconds=0.5, unclear_seconds=0.3)
POLICY = Policy(maximum=2, idle_seconds=0.1)


def offers(count=3):
    """Offers of a host each, the cheapest first: numbers 100, 101, …"""
    return [offer(id=100 + n, machine_id=200 + n, host_id=300 + n, dph_base=0.2 + 0.02 * n) for n in range(count)]


def vast_provider(vast, fleet="api-gpu", key=KEY, death=None):
    client = VastClient(vast.url, key, {}, backoff_seconds=0.02, attempts=2)
    client = client if death is None else MortalClient(client, death)
    wish = OfferFilter(max_usd_per_hour=0.5)
    return VastProvider(client, "org/encoder:1", fleet, wish, offers_seconds=0.05, gone_seconds=1.0)


class World:
    """`waiting` is the queue."""

    def __init__(
        self,
        records,
        provider,
        policy=POLICY,
        patience=PATIENCE,
        rhythm=RHYTHM,
        fleet="api-gpu",
        holder="gateway",
        death=None,
    ):
        self.waiting, self.policy, self.death = 0, policy, death
        self.records = records if death is None else MortalStore(records, death)
        self.pool, self.provider, self.fleet = Pool(ask_again_seconds=0.2), provider, fleet
        self.registry, self.estimate_store = InstanceRegistry(self.records), EstimateStore(self.records)
        self.meter, self.assignments = UsageMeter(self.registry), TaskAssignments(self.records, holder)
        self.lease = LeaderLease(self.records, holder, rhythm.lease_seconds)
        self.controller = FleetController(
            self.registry,
            self.lease,
            {provider.name: provider},
            self.pool,
            policy,
            [provider.name],
            fleet,
            self.demand,
            self.assignments,
            self.estimate_store,
            patience,
            rhythm,
        )

    @property
    def market(self):
        return self.controller.markets[self.provider.name]

    def demand(self, now):
        return Demand(waiting=self.waiting, oldest_wait_seconds=0.0, task_seconds=5.0)

    async def __aenter__(self):
        await self.registry.start()
        await self.estimate_store.start()
        await self.assignments.start()
        PoolSync(self.registry, self.pool, {self.provider.name: self.provider})
        self.controller.start()
        return self

    async def __aexit__(self, *_):
        if self.death is not None:
            self.death.bury()
        await self.controller.close()
        await self.pool.close()
        await self.assignments.stop()
        await self.estimate_store.stop()
        await self.registry.stop()

    def at(self, state):
        """The machines in a state."""
        return [machine for machine in self.registry.all() if machine.state is state]

    async def until(self, state, seconds=10.0):
        """The machine that gets to a state."""
        return (await until(lambda: self.at(state), seconds))[0]

    async def until_empty(self, seconds=10.0):
        """No machine is paid for by the records."""
        await until(lambda: not self.registry.living(), seconds)

    async def ready(self, seconds=10.0):
        """The machine that is there for one task that waits."""
        self.waiting = 1
        return await self.until(InstanceState.READY, seconds)


def living(vast, fleet="api-gpu"):
    """The instances that the fleet pays for at the emulated Vast.ai."""
    return [instance for instance in list(vast.instances.values()) if is_label_of(fleet, instance.label or "")]


def ever(vast, fleet="api-gpu"):
    """All that it ever had there."""
    return [one for one in [*vast.ended, *list(vast.instances.values())] if is_label_of(fleet, one.label or "")]


def rhythm(**changes):
    return replace(RHYTHM, **changes)

"""The fleet as the rest of the gateway sees it."""

from dataclasses import dataclass

from gateway.cluster.assignments import TaskAssignments
from gateway.fleet.autoscaler import Policy
from gateway.fleet.controller import FleetController, Queue
from gateway.fleet.estimates import EstimateStore
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.metering import UsageMeter
from gateway.fleet.providers.monitor import ProviderMonitor

# Offers are asked for when they are older, for what a job is expected to cost; else the last prices paid count.
PRICES_SECONDS = 60.0
PRICES = 5


@dataclass(frozen=True)
class Fleet:
    """The register of machines, the meter, who has which task, what was learned, the limits, the queue, the control."""

    registry: InstanceRegistry
    meter: UsageMeter
    assignments: TaskAssignments
    estimate_store: EstimateStore
    policy: Policy
    queue: Queue
    controller: FleetController

    def faults(self) -> dict[str, str]:
        """Providers, in the order of preference, and what is wrong with each ("": nothing)."""
        told = {name: market.fault for name, market in self.controller.markets.items()}
        lost = {machine.provider for machine in self.registry.living()} - told.keys()
        return told | dict.fromkeys(lost, "not set up, and machines of it are paid for: set it up to give them back")

    def is_starting(self) -> bool:
        """Whether a machine is on its way."""
        return any(machine.ready_at is None for machine in self.registry.living())

    def expected_usd(self, operation: str, tasks: int) -> float | None:
        """Dollars that a job is expected to cost at the cheapest provider; None where nothing can be rented."""
        costs = [self._expected_at(name, market, operation, tasks) for name, market in self.controller.rented_from()]
        return min(costs, default=None)

    def _expected_at(self, name: str, market: ProviderMonitor, operation: str, tasks: int) -> float:
        living = [machine for machine in self.registry.living() if machine.provider == name]
        # For the next one to ask: this one answers by what is known.
        market.refresh_offers(PRICES_SECONDS)
        offers = [(offer.usd_per_hour, offer.slots) for offer in market.offers]
        paid = [(machine.usd_per_hour, machine.slots) for machine in self.registry.all() if machine.provider == name]
        most = (market.provider.max_usd_per_hour, market.provider.slots)
        usd_per_hour, slots = min(offers or paid[:PRICES], default=most)
        return self.estimate_store.estimates.job_usd(
            operation,
            tasks,
            usd_per_hour,
            slots=slots,
            machines=0 if living else 1,
            setup_seconds=self.estimate_store.estimates.setup_seconds(name, market.provider.setup_seconds),
            idle_seconds=self.policy.idle_seconds,
        )

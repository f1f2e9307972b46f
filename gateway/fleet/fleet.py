"""The fleet as the rest of the gateway sees it."""

from dataclasses import dataclass

from gateway.cluster.assignments import TaskAssignments
from gateway.fleet.autoscaler import Policy
from gateway.fleet.controller import FleetController, Queue
from gateway.fleet.estimates import EstimateStore
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.metering import UsageMeter
from gateway.fleet.providers.monitor import ProviderMonitor

# Cost estimates use offers of this age at most; without any, the lowest of the last prices paid.
OFFERS_SECONDS = 60.0
PRICES_PAID = 5


@dataclass(frozen=True)
class Fleet:
    """The parts of the fleet, the state of its providers, and the expected costs of jobs."""

    registry: InstanceRegistry
    meter: UsageMeter
    assignments: TaskAssignments
    estimate_store: EstimateStore
    policy: Policy
    queue: Queue
    controller: FleetController

    def faults(self) -> dict[str, str]:
        """Return the fault of each provider ("": none), in the order of preference."""
        faults = {name: monitor.fault for name, monitor in self.controller.monitors.items()}
        missing = {instance.provider for instance in self.registry.living()} - faults.keys()
        return faults | dict.fromkeys(missing, "not configured, but its instances are billed: set it up to end them")

    def is_starting(self) -> bool:
        """Return True while an instance is on its way."""
        return any(instance.ready_at is None for instance in self.registry.living())

    def expected_usd(self, operation: str, tasks: int) -> float | None:
        """Return the expected cost of a job at the cheapest provider; None if there is none to rent from."""
        monitors = self.controller.rentable_monitors
        return min((self._expected_usd(monitor, operation, tasks) for monitor in monitors), default=None)

    def _expected_usd(self, monitor: ProviderMonitor, operation: str, tasks: int) -> float:
        # The answer is for the next estimate: this one uses what is known.
        monitor.refresh_offers(OFFERS_SECONDS)
        provider, estimates = monitor.provider, self.estimate_store.estimates
        rented = [instance for instance in self.registry.all() if instance.provider == provider.name]
        overhead_seconds = 0.0
        if not any(instance.state.is_billed for instance in rented):
            setup_seconds = estimates.setup_seconds(provider.name, provider.setup_seconds)
            overhead_seconds = setup_seconds + self.policy.idle_seconds
        offers = [(offer.usd_per_hour, offer.slots) for offer in monitor.offers]
        paid = [(instance.usd_per_hour, instance.slots) for instance in rented[:PRICES_PAID]]
        usd_per_hour, slots = min(offers or paid, default=(provider.max_usd_per_hour, provider.slots))
        return estimates.job_usd(operation, tasks, usd_per_hour, slots=slots, overhead_seconds=overhead_seconds)

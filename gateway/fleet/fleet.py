"""The fleet as the rest of the gateway sees it."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.fleet.control import Control
from gateway.fleet.knowledge import Knowledge
from gateway.fleet.market import Market
from gateway.fleet.meter import Meter
from gateway.fleet.queue import Queue
from gateway.fleet.register import Register
from gateway.fleet.scaler import Demand, Policy


@dataclass(frozen=True)
class Fleet:
    """The register of machines, the meter, what was learned, the limits, the queue and its demand; `control` is None
    where no provider is set up."""

    register: Register
    meter: Meter
    knowledge: Knowledge
    policy: Policy
    queue: Queue
    demand: Callable[[float], Demand]
    control: Control | None

    def faults(self) -> dict[str, str]:
        """Providers, in the order of preference, and what is wrong with each ("": nothing)."""
        return {name: market.fault for name, market in self._markets.items()}

    def is_starting(self) -> bool:
        """Whether a machine is on its way."""
        return any(machine.ready_at is None for machine in self.register.living())

    def expected_usd(self, operation: str, tasks: int) -> float | None:
        """Dollars that a job is expected to cost at the cheapest provider; None where nothing can be rented."""
        costs = [self._expected_at(name, market, operation, tasks) for name, market in self._markets.items()]
        return min(costs, default=None)

    def _expected_at(self, name: str, market: Market, operation: str, tasks: int) -> float:
        living = [machine for machine in self.register.living() if machine.provider == name]
        offers = [(offer.usd_per_hour, offer.slots) for offer in market.offers]
        known = [(machine.usd_per_hour, machine.slots) for machine in living] + offers
        usd_per_hour, slots = min(known, default=(market.provider.most_usd_per_hour, 1))
        return self.knowledge.estimates.job_usd(
            operation,
            tasks,
            usd_per_hour,
            slots=slots,
            provider=name,
            machines=0 if living else 1,
            idle_seconds=self.policy.idle_seconds,
        )

    @property
    def _markets(self) -> dict[str, Market]:
        return {} if self.control is None else self.control.markets

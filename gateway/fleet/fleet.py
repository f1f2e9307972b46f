"""The fleet as the rest of the gateway sees it."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.fleet.control import Control
from gateway.fleet.meter import Meter
from gateway.fleet.register import Register
from gateway.fleet.scaler import Demand, Policy


@dataclass(frozen=True)
class Fleet:
    """The register of machines, the meter, the limits, the queue's demand; `control` is None where no provider is set
    up."""

    register: Register
    meter: Meter
    policy: Policy
    demand: Callable[[float], Demand]
    control: Control | None

    def faults(self) -> dict[str, str]:
        """Providers, in the order of preference, and what is wrong with each ("": nothing)."""
        if self.control is None:
            return {}
        return {name: market.fault for name, market in self.control.markets.items()}

    def is_starting(self) -> bool:
        """Whether a machine is on its way."""
        return any(machine.state.is_paid and machine.ready_at is None for machine in self.register.living())

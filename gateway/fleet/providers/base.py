"""The seam to those who rent machines out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.fleet.instances.instance import Instance, InstanceAccess
from gateway.workers.base import Encoder
from servicekit.errors import FailedPrecondition, Unavailable


@dataclass(frozen=True, slots=True)
class Offer:
    """A machine that could be had now. `id` is the provider's; `setup_seconds` is what passes from the order to the
    first task; `task_seconds` what an average task takes there, 0 where nobody knows. `host` is the physical host."""

    provider: str
    id: str
    usd_per_hour: float
    setup_seconds: float
    slots: int = 1
    task_seconds: float = 0.0
    host: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """What a machine is started with: its label, and the encoder's environment (certificate, token, allowed IPs).
    `access` is the gateways' side of it."""

    label: str
    environment: dict[str, str]
    access: InstanceAccess | None = None


@dataclass(frozen=True, slots=True)
class ListedInstance:
    """A machine as its provider tells of it. `address` (host:port of the encoder) is empty until it is known; `fault`
    says why it will never come up."""

    provider_id: str
    label: str
    address: str = ""
    usd_per_hour: float = 0.0
    fault: str = ""


class OfferGone(FailedPrecondition):
    """The offer was taken by somebody else, or its terms have changed: nothing was made. Take another."""


class LaunchUnknown(Unavailable):
    """Nobody knows whether a machine was made: the answer did not come. It must be looked for by its label."""


class Provider(Protocol):
    """Makes, finds and ends machines. Every method may raise Unavailable (the provider does not answer, or asks for
    patience), Unauthenticated (the key is wrong) and FailedPrecondition (the account cannot pay, …)."""

    name: str
    # Whether there are machines to be found and given back; else the provider starts and ends workers by itself.
    has_machines: bool
    # The most that a machine may cost, dollars an hour.
    most_usd_per_hour: float
    # Tasks that one runs at once.
    slots: int

    def prepare(self, label: str) -> LaunchSpec:
        """What a machine of this label is started with."""

    def encoder(self, machine: Instance) -> Encoder:
        """The encoder on a machine that has its address."""

    async def offers(self) -> Sequence[Offer]:
        """What could be had now, the best for the expected work first; hosts that failed lately are left out."""

    async def create(self, offer: Offer, launch: LaunchSpec) -> str:
        """Rent a machine; the provider's id for it. Never asked twice. Raises OfferGone (nothing was made), Unclear."""

    async def found(self) -> Sequence[ListedInstance]:
        """All machines of the account whose label is one of ours, those of other gateways too."""

    async def destroy(self, provider_id: str) -> None:
        """Give a machine back, for good; one that is gone already is no fault."""

    def expect(self, tasks: float, task_seconds: float) -> None:
        """A machine that is rented now will be wanted for so many tasks, each of so many seconds."""

    def learn(self, machine: Instance) -> None:
        """The machine has ended: what its tasks took says something of offers like it."""

    def avoid(self, machine: Instance) -> None:
        """The machine did not come up, or broke: leave its host alone for a while."""

    async def close(self) -> None:
        """Let go of connections."""

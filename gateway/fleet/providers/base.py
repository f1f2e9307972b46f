"""The interface to whoever rents encoders out: instances that we make and destroy, or workers of a serverless endpoint.

A provider's folder has its settings, which open it, and its client; `registry.PROVIDERS` names it.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.fleet.autoscaler import Offer
from gateway.fleet.instances.credentials import LaunchSpec
from gateway.fleet.instances.instance import Instance
from gateway.workers.base import Encoder
from gateway.workers.tickets import Tickets
from servicekit.config import Network, Settings
from servicekit.errors import FailedPrecondition, Unavailable

# URLs that an API key is sent to: in the clear on this machine at most.
HTTPS = r"^(https://|http://(127\.0\.0\.1|localhost)(:|/|$))"


@dataclass(frozen=True, slots=True)
class ListedInstance:
    """An instance as its provider lists it. `address` (host:port of the encoder) is empty until it is known; `fault`
    says why it will never come up."""

    provider_id: str
    label: str
    address: str = ""
    usd_per_hour: float = 0.0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """How a serverless endpoint is set up: seconds until an idle worker is ended, and that one task may take."""

    endpoint_id: str
    idle_seconds: int
    max_seconds: int


class OfferGone(FailedPrecondition):
    """The offer was taken by somebody else, or its terms have changed: nothing was created. Take another."""


class LaunchUnknown(Unavailable):
    """The answer to a create was lost: the instance may exist, and must be looked for by its label."""


class Provider(Protocol):
    """What both kinds of provider have. Every method may raise Unavailable (no answer, or too many calls),
    Unauthenticated (the key is wrong) and FailedPrecondition (the account cannot pay, …)."""

    name: str
    # The highest price of one instance or worker, dollars an hour.
    max_usd_per_hour: float
    # Tasks that one runs at once.
    slots: int
    # Seconds from create to the first task, assumed until some were measured.
    setup_seconds: float

    async def offers(self) -> Sequence[Offer]:
        """Return what can be rented now, the best for the expected work first, without hosts that failed lately."""

    def encoder(self, instance: Instance) -> Encoder:
        """Return the encoder on an instance that has its address, or behind a worker slot."""

    async def close(self) -> None:
        """Close connections."""


@runtime_checkable
class InstanceProvider(Provider, Protocol):
    """Creates, lists and destroys instances."""

    def prepare(self, label: str) -> LaunchSpec:
        """Return what an instance of this label is created with."""

    async def create(self, offer: Offer, launch: LaunchSpec) -> str:
        """Create an instance, once, without retries; return the provider's id for it.

        Raises OfferGone (nothing was created) and LaunchUnknown.
        """

    async def list_instances(self) -> Sequence[ListedInstance]:
        """Return all instances of the account whose label is one of ours, those of other gateways too."""

    async def destroy(self, provider_id: str) -> None:
        """Destroy an instance for good; one that is gone already is no error."""

    def set_workload(self, tasks: float, task_seconds: float) -> None:
        """Note how many tasks, each of so many seconds, an instance created now is wanted for."""

    def record_outcome(self, instance: Instance) -> None:
        """Learn from a terminated instance how long tasks take on offers like it."""

    def blacklist(self, instance: Instance) -> None:
        """Leave the host of an instance that did not come up, or broke, alone for a while."""


@runtime_checkable
class ServerlessProvider(Provider, Protocol):
    """Starts and ends workers by itself. What is rented is a worker slot: the right to keep one worker busy."""

    @property
    def endpoint(self) -> Encoder:
        """All workers, behind the provider's queue."""

    async def endpoint_config(self) -> EndpointConfig:
        """Return how the endpoint is set up at the provider."""


@runtime_checkable
class StockAwareProvider(Protocol):
    """A provider that answers whether it has machines for what is asked of it or not, and can tell."""

    async def notice(self) -> str:
        """Return why tasks may wait although the provider answers; "" for no reason. Raises nothing."""


@dataclass(frozen=True)
class ProviderContext:
    """What the gateway gives a provider to work with.

    An instance may take `start_seconds` to come up and gets tasks for `max_age_seconds`; calls to it come from
    `gateway_networks` (empty: from anywhere). Tasks have at most `max_task_seconds` and `max_input_bytes` an input.
    Workers that fetch and put by link reach this gateway at `public_url`.
    """

    fleet_name: str
    start_seconds: float
    max_age_seconds: float
    max_task_seconds: float
    max_input_bytes: int
    gateway_networks: Sequence[Network]
    public_url: str
    assets: AssetStore
    links: LinkSigner
    tickets: Tickets


class ProviderSettings(Settings):
    """Settings of one provider; the environment variables of its fields begin with the provider's prefix."""

    tables: ClassVar[tuple[str, ...]] = ("gateway",)

    @property
    @abstractmethod
    def is_configured(self) -> bool:
        """True if the provider can be used."""

    @property
    def endpoint(self) -> EndpointConfig | None:
        """The serverless endpoint as set here; None for a provider of instances."""
        return None

    @abstractmethod
    def open(self, context: ProviderContext) -> InstanceProvider | ServerlessProvider:
        """Return the provider that is set up so."""

"""A provider as it was last seen: offers, instances, faults. Asked in the background, so that a slow one holds nothing
up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from gateway.fleet.autoscaler import Offer
from gateway.fleet.providers.base import InstanceProvider, ListedInstance, Provider
from servicekit.backoff import Backoff, Cooldowns
from servicekit.errors import Internal, ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.fleet")

BACKOFF = Backoff(2.0, 60.0, jitter=0.0)
FAULT_SHOWN_SECONDS = 60.0

# What calls are for. Each has faults and cooldowns of its own: an account without credit still lists its instances, and
# one instance that cannot be destroyed keeps no other from coming up.
LIST, OFFERS, CREATE, DESTROY = "list", "offers", "create", "destroy"


@dataclass(eq=False)
class ProviderMonitor:
    """The offers, instances (by label) and faults of one provider. `offers_at` and `instances_at` are when the last
    answer was asked for, Unix seconds.

    A fault is shown until `fault_shown_seconds` after its cooldown.
    """

    provider: Provider
    backoff: Backoff = BACKOFF
    fault_shown_seconds: float = FAULT_SHOWN_SECONDS
    offers: Sequence[Offer] = field(default=(), init=False)
    offers_at: float = field(default=0.0, init=False)
    instances: dict[str, ListedInstance] = field(default_factory=dict, init=False)
    instances_at: float = field(default=0.0, init=False)
    # The text of each purpose's last fault, and the end of its cooldown on the monotonic clock.
    _faults: dict[str, tuple[str, float]] = field(default_factory=dict, init=False)
    _refreshing: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._cooldowns = Cooldowns(self.backoff)

    @property
    def fault(self) -> str:
        """What is wrong with the provider, "" for nothing.

        A create may not be tried again for hours: its fault is shown no longer than it is known to hold.
        """
        since = time.monotonic() - self.fault_shown_seconds
        return next((text for text, until in self._faults.values() if since < until), "")

    def refresh_offers(self, older_than_seconds: float) -> None:
        """Ask for offers, unless that was done lately or is being done, or none can be taken now."""
        if time.time() - self.offers_at > older_than_seconds and not self._is_cooling(CREATE):
            self._refresh(OFFERS, self._read_offers)

    def refresh_instances(self, older_than_seconds: float) -> None:
        """Ask for the instances, unless that was done lately or is being done; a serverless provider has none."""
        provider = self.provider
        if isinstance(provider, InstanceProvider) and time.time() - self.instances_at > older_than_seconds:
            self._refresh(LIST, lambda: self._read_instances(provider))

    def consume(self, offer: Offer) -> None:
        """Drop an offer that was taken."""
        self.offers = [other for other in self.offers if other.id != offer.id]

    def failed(self, purpose: str, error: ServiceError) -> None:
        """Begin a cooldown: a call failed for a reason that will hold for a while."""
        now = time.monotonic()
        seconds = self._cooldowns.add(purpose, now)
        self._faults[purpose] = (error.message, now + seconds)
        if purpose in (OFFERS, CREATE):
            self.offers, self.offers_at = (), 0.0
        log.warning(
            "provider call failed", provider=self.provider.name, call=purpose, error=error.message, pause=seconds
        )

    def succeeded(self, purpose: str) -> None:
        """Forget the faults of calls for this purpose."""
        self._faults.pop(purpose, None)
        self._cooldowns.clear(purpose)

    async def close(self) -> None:
        """Cancel the calls that run."""
        await cancel_and_wait(*self._refreshing.values())

    def _is_cooling(self, purpose: str) -> bool:
        return self._cooldowns.is_active(purpose, time.monotonic())

    def _refresh(self, purpose: str, call: Callable[[], Awaitable[None]]) -> None:
        if purpose in self._refreshing or self._is_cooling(purpose):
            return
        task = asyncio.create_task(self._guarded(purpose, call))
        self._refreshing[purpose] = task
        task.add_done_callback(lambda _: self._refreshing.pop(purpose, None))

    async def _guarded(self, purpose: str, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except ServiceError as error:
            self.failed(purpose, error)
        except Exception:
            log.exception("unexpected error in a provider call", provider=self.provider.name, call=purpose)
            self.failed(purpose, Internal(f"The answer of {self.provider.name} was not understood; see the log."))
        else:
            self.succeeded(purpose)

    async def _read_offers(self) -> None:
        asked_at = time.time()
        self.offers = await self.provider.offers()
        self.offers_at = asked_at

    async def _read_instances(self, provider: InstanceProvider) -> None:
        asked_at = time.time()
        self.instances = {listed.label: listed for listed in await provider.list_instances()}
        self.instances_at = asked_at

"""A provider as it was last seen: its machines, its offers, its faults. Asked in the background, so that a slow
provider holds nothing up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from gateway.fleet.instances.instance import Instance
from gateway.fleet.providers.base import ListedInstance, Offer, Provider
from servicekit.errors import Internal, ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("fleet")

FIRST_PAUSE_SECONDS = 2.0
MOST_PAUSE_SECONDS = 60.0
TOLD_SECONDS = 60.0

# What calls are for. Each has faults and pauses of its own: an account without credit still tells of its machines, and
# one machine that cannot be given back keeps no other from coming up.
FOUND, OFFERS, CREATE, DESTROY = "found", "offers", "create", "destroy"


@dataclass(frozen=True, slots=True)
class ProviderFault:
    """Why calls for one purpose failed, how long they rest (seconds), and until when (the monotonic clock)."""

    text: str
    seconds: float
    until: float


class ProviderMonitor:
    """One provider. Times of asking are Unix seconds, when the question was put. `pauses` are the first and the longest
    rest after a fault, seconds; `told_seconds` is how long after its rest a fault is still told."""

    def __init__(
        self,
        provider: Provider,
        pauses: tuple[float, float] = (FIRST_PAUSE_SECONDS, MOST_PAUSE_SECONDS),
        told_seconds: float = TOLD_SECONDS,
    ) -> None:
        self.provider = provider
        self.found: dict[str, ListedInstance] = {}
        self.found_at = 0.0
        self.offers: Sequence[Offer] = ()
        self.offers_at = 0.0
        self._pauses = pauses
        self._told_seconds = told_seconds
        self._faults: dict[str, ProviderFault] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    @property
    def fault(self) -> str:
        """What is wrong with the provider; "" where nothing is. Orders may not be tried again for hours: their fault is
        told no longer than it is known to hold."""
        since = time.monotonic() - self._told_seconds
        return next((fault.text for fault in self._faults.values() if since < fault.until), "")

    def look(self, older_than_seconds: float) -> None:
        """Ask for the machines, unless that was done lately or is being done."""
        if self.provider.has_machines and time.time() - self.found_at > older_than_seconds:
            self._ask(FOUND, self._look)

    def shop(self, older_than_seconds: float) -> None:
        """Ask for offers, unless that was done lately or is being done, or none can be taken now."""
        if time.time() - self.offers_at > older_than_seconds and not self._rests(CREATE):
            self._ask(OFFERS, self._shop)

    def taken(self, offer: Offer) -> None:
        """The offer is used up."""
        self.offers = [other for other in self.offers if other.id != offer.id]

    def avoid(self, machine: Instance) -> None:
        """The machine did not come up, or broke: take nothing of its host for a while."""
        self.provider.avoid(machine)
        self.offers = [offer for offer in self.offers if not machine.host or offer.host != machine.host]

    def failed(self, purpose: str, error: ServiceError) -> None:
        """A call failed for a reason that will hold for a while: ask for nothing of the kind until then."""
        first, most = self._pauses
        known = self._faults.get(purpose)
        seconds = min(known.seconds * 2, most) if known else first
        self._faults[purpose] = ProviderFault(error.message, seconds, time.monotonic() + seconds)
        if purpose in (OFFERS, CREATE):
            self.offers, self.offers_at = (), 0.0
        log.warning("provider fails", provider=self.provider.name, call=purpose, error=error.message, pause=seconds)

    def worked(self, purpose: str) -> None:
        """A call was answered as it should be."""
        self._faults.pop(purpose, None)

    async def close(self) -> None:
        """End what is being asked."""
        await cancel_and_wait(*self._asking.values())

    def _rests(self, purpose: str) -> bool:
        return purpose in self._faults and time.monotonic() < self._faults[purpose].until

    def _ask(self, purpose: str, ask: Callable[[], Awaitable[None]]) -> None:
        if purpose in self._asking or self._rests(purpose):
            return
        task = asyncio.create_task(self._answered(purpose, ask))
        self._asking[purpose] = task
        task.add_done_callback(lambda _: self._asking.pop(purpose, None))

    async def _answered(self, purpose: str, ask: Callable[[], Awaitable[None]]) -> None:
        try:
            await ask()
        except ServiceError as error:
            self.failed(purpose, error)
        except Exception:
            log.exception("unexpected error in asking a provider", provider=self.provider.name, call=purpose)
            self.failed(purpose, Internal(f"The answer of {self.provider.name} was not understood; see the log."))
        else:
            self.worked(purpose)

    async def _look(self) -> None:
        asked_at = time.time()
        self.found = {machine.label: machine for machine in await self.provider.found()}
        self.found_at = asked_at

    async def _shop(self) -> None:
        asked_at = time.time()
        self.offers = await self.provider.offers()
        self.offers_at = asked_at

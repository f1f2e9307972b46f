"""A provider as it was last seen: its machines, its offers, its faults. Asked in the background, so that a slow
provider holds nothing up."""

import asyncio
import time
from collections.abc import Coroutine, Sequence

import structlog

from gateway.fleet.base import Found, Offer, Provider
from rpc.errors import ServiceError

log = structlog.get_logger("fleet")

FIRST_PAUSE_SECONDS = 2.0
MAX_PAUSE_SECONDS = 60.0


class Market:
    """One provider. Times of asking are Unix seconds, when the question was put."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.fault = ""
        self.found: dict[str, Found] = {}
        self.found_at = 0.0
        self.offers: Sequence[Offer] = ()
        self.offers_at = 0.0
        self._pause_seconds = 0.0
        self._resume_at = 0.0
        self._asking: dict[str, asyncio.Task[None]] = {}

    def look(self, older_than_seconds: float) -> None:
        """Ask for the machines, unless that was done lately or is being done."""
        if self.provider.has_machines and time.time() - self.found_at > older_than_seconds:
            self._ask("found", self._look())

    def shop(self, older_than_seconds: float) -> None:
        """Ask for offers, unless that was done lately or is being done."""
        if time.time() - self.offers_at > older_than_seconds:
            self._ask("offers", self._shop())

    def taken(self, offer: Offer) -> None:
        """The offer is used up."""
        self.offers = [other for other in self.offers if other.id != offer.id]

    def failed(self, error: ServiceError) -> None:
        """A call failed for a reason that will hold for a while: ask for nothing new until then."""
        self.fault = error.message
        self.offers, self.offers_at = (), 0.0
        self._pause_seconds = min(max(self._pause_seconds * 2, FIRST_PAUSE_SECONDS), MAX_PAUSE_SECONDS)
        self._resume_at = time.monotonic() + self._pause_seconds
        log.warning("provider fails", provider=self.provider.name, error=error.message, pause=self._pause_seconds)

    async def close(self) -> None:
        """End what is being asked."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _ask(self, what: str, work: Coroutine[None, None, None]) -> None:
        if what in self._asking or time.monotonic() < self._resume_at:
            work.close()
            return
        task = asyncio.create_task(work)
        self._asking[what] = task
        task.add_done_callback(lambda _: self._asking.pop(what, None))

    async def _look(self) -> None:
        asked_at = time.time()
        try:
            found = {machine.label: machine for machine in await self.provider.found()}
        except ServiceError as error:
            self.failed(error)
            return
        self.found, self.found_at = found, asked_at
        self._well()

    async def _shop(self) -> None:
        asked_at = time.time()
        try:
            self.offers = await self.provider.offers()
        except ServiceError as error:
            self.failed(error)
            return
        self.offers_at = asked_at
        self._well()

    def _well(self) -> None:
        self.fault, self._pause_seconds = "", 0.0

"""Whether RunPod has a card for the endpoint's workers, asked now and then."""

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from gateway.fleet.providers.runpod.client import RunpodClient
from servicekit.errors import ServiceError
from servicekit.problems import API_RETIRED

log = structlog.get_logger("gateway.fleet.runpod")

# A question that takes longer is answered without it: what waits for it serves people, and runs of tasks.
LIMIT_SECONDS = 5.0


@dataclass(eq=False)
class StockMonitor:
    """What the management API said last: `shortage` is "" where a card is in stock or nothing is known, `fault` says
    that the API is not there any more. A key that may not ask is no fault: endpoints serve all the same."""

    client: RunpodClient
    seconds: float
    shortage: str = field(default="", init=False)
    fault: str = field(default="", init=False)
    _asked_at: float = field(default=float("-inf"), init=False)
    _unknown: str = field(default="", init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def refresh(self) -> None:
        """Ask, unless that was done in the last `seconds`; those who come meanwhile wait for the one answer."""
        async with self._lock:
            if time.monotonic() < self._asked_at + self.seconds:
                return
            self._asked_at = time.monotonic()
            self.shortage = self.fault = ""
            try:
                await self._ask()
            except ServiceError as error:
                self.fault = error.message if error.reason == API_RETIRED else ""
                self._note(error.message)
            except TimeoutError:
                self._note(f"RunPod's API for endpoints did not answer in {LIMIT_SECONDS:g} s.")

    async def _ask(self) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            endpoint = await self.client.endpoint()
            self.shortage = endpoint.shortage(await self.client.cards())
        self._unknown = ""

    def _note(self, error: str) -> None:
        """Log why nothing is known, once."""
        if error != self._unknown:
            log.warning("cannot find out whether RunPod has cards in stock", error=error)
        self._unknown = error

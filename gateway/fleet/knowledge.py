"""What has been learned of how long things take: kept in the store, shared by all gateways."""

import contextlib
from collections.abc import Callable

import structlog

from gateway.engine.keyvalue import KeyValue
from gateway.engine.watching import Watching
from gateway.fleet import estimates
from gateway.fleet.estimates import Estimates
from rpc.errors import Aborted, ServiceError

log = structlog.get_logger("fleet")

KEY = "estimates"
CHANGE_TRIES = 20


class Knowledge:
    """Learns from what ends. That something cannot be kept is no reason to fail anything."""

    def __init__(self, records: KeyValue) -> None:
        self._records = records
        self._watching = Watching(records, self._changed)
        self.estimates = Estimates()

    async def start(self) -> None:
        """Read what is known, and follow it from then on."""
        await self._watching.start()

    async def stop(self) -> None:
        """End the watch."""
        await self._watching.stop()

    async def task_ended(self, operation: str, seconds: float) -> None:
        """A task has ended well after that long."""
        await self._learn(lambda known: known.with_task(operation, seconds))

    async def setup_ended(self, provider: str, seconds: float) -> None:
        """A machine has answered that long after it was ordered."""
        await self._learn(lambda known: known.with_setup(provider, seconds))

    def _changed(self, key: str, value: bytes | None, _: int) -> None:
        if key == KEY and value is not None:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # of another version: learn anew
                self.estimates = estimates.from_json(value)

    async def _learn(self, step: Callable[[Estimates], Estimates]) -> None:
        try:
            for _ in range(CHANGE_TRIES):
                with contextlib.suppress(Aborted):
                    await self._change(step)
                    return
        except ServiceError as error:
            log.warning("what was learned cannot be kept", error=error.message)

    async def _change(self, step: Callable[[Estimates], Estimates]) -> None:
        entry = await self._records.get(KEY)
        if entry is None:
            await self._records.create(KEY, estimates.to_json(step(self.estimates)))
            return
        try:
            known = estimates.from_json(entry.value)
        except (ValueError, KeyError, TypeError):
            known = Estimates()
        await self._records.update(KEY, estimates.to_json(step(known)), entry.revision)

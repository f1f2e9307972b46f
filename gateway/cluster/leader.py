"""The lease: of many gateways one acts for the fleet."""

import json
import time

from gateway.jetstream.keyvalue import Entry, KeyValue
from servicekit.errors import Aborted

KEY = "lease"


class LeaderLease:
    """Held by renewing it. No two clocks are compared: another's lease has run out when it has not been renewed for
    `seconds` by our own clock, and we act only for two thirds of that after our last renewal."""

    def __init__(self, records: KeyValue, holder: str, seconds: float) -> None:
        self._records = records
        self._holder = holder
        self._seconds = seconds
        self._seen: tuple[int, float] = (-1, 0.0)
        self._renewed_at = -seconds

    @property
    def is_held(self) -> bool:
        """Whether this gateway may act now."""
        return time.monotonic() - self._renewed_at < self._seconds * 2 / 3

    @property
    def is_fresh(self) -> bool:
        """Whether it was renewed so lately that it need not be again."""
        return time.monotonic() - self._renewed_at < self._seconds / 5

    async def renew(self) -> bool:
        """Take the lease, or keep it; whether it is ours. Raises Unavailable."""
        asked_at = time.monotonic()
        entry = await self._records.get(KEY)
        try:
            if entry is None:
                await self._records.create(KEY, self._value())
            elif self._is_ours(entry) or self._has_run_out(entry, asked_at):
                await self._records.update(KEY, self._value(), entry.revision)
            else:
                return False
        except Aborted:
            return False
        self._renewed_at = asked_at
        return True

    async def give_up(self) -> None:
        """Let another gateway act at once."""
        self._renewed_at = -self._seconds
        entry = await self._records.get(KEY)
        if entry is not None and self._is_ours(entry):
            await self._records.delete(KEY)

    def _value(self) -> bytes:
        return json.dumps({"holder": self._holder}).encode()

    def _is_ours(self, entry: Entry) -> bool:
        return bool(json.loads(entry.value)["holder"] == self._holder)

    def _has_run_out(self, entry: Entry, now: float) -> bool:
        revision, since = self._seen
        if revision != entry.revision:
            self._seen = entry.revision, now
            return False
        return now - since > self._seconds

"""The leader lease: of many gateways one acts for the fleet."""

import time

from gateway.jetstream.keyvalue import Entry, KeyValue
from servicekit.codec import to_json
from servicekit.errors import Aborted

KEY = "lease"


class LeaderLease:
    """Held by renewing it. No two clocks are compared: another's lease has expired when it was not renewed for
    `seconds` by our own clock, and we act only for two thirds of that after our last renewal.

    A change that comes second is a lost election, so nothing is tried again here.
    """

    def __init__(self, bucket: KeyValue, holder: str, seconds: float) -> None:
        self._bucket = bucket
        self._record = to_json({"holder": holder})
        self._seconds = seconds
        self._seen: tuple[int, float] = (-1, 0.0)
        self._renewed_at = -seconds

    @property
    def is_held(self) -> bool:
        """True while this gateway may act."""
        return time.monotonic() - self._renewed_at < self._seconds * 2 / 3

    @property
    def is_fresh(self) -> bool:
        """True if it was renewed so lately that it need not be again."""
        return time.monotonic() - self._renewed_at < self._seconds / 5

    async def renew(self) -> bool:
        """Take the lease, or keep it; return True if it is ours. Raise Unavailable."""
        asked_at = time.monotonic()
        entry = await self._bucket.get(KEY)
        try:
            if entry is None:
                await self._bucket.create(KEY, self._record)
            elif entry.value == self._record or self._has_expired(entry, asked_at):
                await self._bucket.update(KEY, self._record, entry.revision)
            else:
                return False
        except Aborted:
            return False
        self._renewed_at = asked_at
        return True

    async def give_up(self) -> None:
        """Let another gateway act at once."""
        self._renewed_at = -self._seconds
        entry = await self._bucket.get(KEY)
        if entry is not None and entry.value == self._record:
            await self._bucket.delete(KEY)

    def _has_expired(self, entry: Entry, now: float) -> bool:
        revision, since = self._seen
        if revision != entry.revision:
            self._seen = entry.revision, now
            return False
        return now - since > self._seconds

"""The leader lease: of many gateways one acts for the fleet."""

import time
from dataclasses import dataclass

from gateway.jetstream.keyvalue import Entry, KeyValue
from servicekit.codec import from_json, to_json
from servicekit.errors import Aborted

KEY = "lease"


@dataclass(frozen=True, slots=True)
class Lease:
    """The record: the name of the gateway that holds it."""

    holder: str


class LeaderLease:
    """Held by renewing it. No two clocks are compared: another's lease has expired when it was not renewed for
    `seconds` by our own clock, and we act only for two thirds of that after our last renewal.

    A change that comes second is a lost election, so nothing is tried again here.
    """

    def __init__(self, bucket: KeyValue, holder: str, seconds: float) -> None:
        self._bucket = bucket
        self._lease = Lease(holder)
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
                await self._bucket.create(KEY, to_json(self._lease))
            elif self._is_ours(entry) or self._has_expired(entry, asked_at):
                await self._bucket.update(KEY, to_json(self._lease), entry.revision)
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
        if entry is not None and self._is_ours(entry):
            await self._bucket.delete(KEY)

    def _is_ours(self, entry: Entry) -> bool:
        try:
            return from_json(Lease, entry.value) == self._lease
        except ValueError:  # written by a later version
            return False

    def _has_expired(self, entry: Entry, now: float) -> bool:
        revision, since = self._seen
        if revision != entry.revision:
            self._seen = entry.revision, now
            return False
        return now - since > self._seconds

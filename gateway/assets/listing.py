"""Lists of stored files, the newest first. The store keeps no order: the names of all records are listed now and then,
held in order meanwhile, and a page reads those that may be on it."""

import asyncio
import contextlib
import math
import time
from bisect import bisect_left, insort
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.assets.record import ID, StoredAsset
from gateway.assets.store import AssetStore
from servicekit.errors import DataLoss, NotFound

# A page reads so many records at most; where few of them are wanted it is short, and the next one goes on.
MAX_READ = 2000
READS_AT_ONCE = 32
# Records that are held, as they do not change.
MAX_KNOWN = 20_000
# Names are listed anew after so long; where that takes long, as of many files in a bucket, for a tenth of the time.
NAMES_SECONDS, MAX_NAMES_SECONDS = 2.0, 60.0
LISTING_SHARE = 0.1


@dataclass(frozen=True)
class AssetFilter:
    """What all files of a list have in common; None and "" are any. `content_type` is a whole one or its first part;
    they were stored from `created_after` on, and before `created_before` (Unix seconds). 0 bytes are any."""

    tenant: str | None = None
    content_type: str = ""
    created_after: float = 0.0
    created_before: float = math.inf
    size_bytes: int = 0

    def has(self, asset: StoredAsset) -> bool:
        """Return True for a file of the list."""
        is_of_kind = self.content_type in ("", asset.content_type, asset.content_type.partition("/")[0])
        is_in_time = self.created_after <= asset.created_at.timestamp() < self.created_before
        is_of_size = self.size_bytes in (0, asset.size_bytes)
        is_wanted = self.tenant in (None, asset.tenant) and is_of_kind and is_of_size and is_in_time
        return is_wanted and not asset.is_expired()


class AssetPlace(NamedTuple):
    """Where a file stands in lists: when its record was written, in microseconds, and its id."""

    written_at: int
    asset_id: str

    @classmethod
    def parse(cls, text: str) -> "AssetPlace":
        """Return the place that a text names."""
        written_at, _, asset_id = text.partition("-")
        return cls(int(written_at, 16), asset_id)

    def __str__(self) -> str:
        return f"{self.written_at:x}-{self.asset_id}"


@dataclass(eq=False)
class AssetLister:
    """Lists the files of a store; a page reads `max_read` records at most. What this gateway stores and deletes is told
    at once, what others do once the names are listed anew. Errors: Unavailable."""

    store: AssetStore
    max_read: int = MAX_READ
    names_seconds: float = NAMES_SECONDS
    _known: OrderedDict[str, StoredAsset] = field(default_factory=OrderedDict, init=False)
    # The oldest first.
    _places: list[AssetPlace] = field(default_factory=list, init=False)
    _ids: set[str] = field(default_factory=set, init=False)
    _good_until: float = field(default=float("-inf"), init=False)
    _naming: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    # What was stored here while names are listed.
    _meanwhile: list[AssetPlace] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.store.listeners.append(self.note)

    def note(self, asset_id: str, *, is_stored: bool) -> None:
        """Take in that a file was stored, or deleted, by this gateway."""
        if not is_stored:  # its place leads to nothing
            self._known.pop(asset_id, None)
        elif asset_id not in self._ids:
            self._ids.add(asset_id)
            place = AssetPlace(_microseconds(datetime.now(UTC)), asset_id)
            insort(self._places, place)
            if self._naming.locked():
                self._meanwhile.append(place)

    async def page(
        self, wanted: AssetFilter, size: int, before: AssetPlace | None
    ) -> tuple[list[StoredAsset], AssetPlace | None]:
        """Return files of a list before a place (None: from the newest on), and the place to go on from, if there may
        be more."""
        places = await self._current_places()
        end = len(places) if before is None else bisect_left(places, before)
        rest = places[max(end - self.max_read, 0) : end][::-1]
        found: list[StoredAsset] = []
        for start in range(0, len(rest), READS_AT_ONCE):
            group = rest[start : start + READS_AT_ONCE]
            assets = await asyncio.gather(*(self._read(place.asset_id) for place in group))
            for place, asset in zip(group, assets, strict=True):
                # The place of one that was just stored may be another once names are listed anew.
                is_news = before is None or place.asset_id != before.asset_id
                if asset is not None and is_news and wanted.has(asset):
                    found.append(asset)
                if len(found) == size:
                    return found, place if place != places[0] else None
        return found, rest[-1] if end > self.max_read else None

    async def _current_places(self) -> list[AssetPlace]:
        """Return all files, the oldest first, as they were not long ago."""
        async with self._naming:
            begun = time.monotonic()
            if begun >= self._good_until:
                self._meanwhile = []
                names = await self.store.record_times()
                places = [AssetPlace(_microseconds(at), name) for name, at in names.items() if ID.fullmatch(name)]
                places += [place for place in self._meanwhile if place.asset_id not in names]
                places.sort()
                self._places, self._ids = places, {place.asset_id for place in places}
                lasts = min(max(self.names_seconds, (time.monotonic() - begun) / LISTING_SHARE), MAX_NAMES_SECONDS)
                self._good_until = time.monotonic() + lasts
            return self._places

    async def _read(self, asset_id: str) -> StoredAsset | None:
        """Return a file; None for one that is gone or damaged."""
        known = self._known.get(asset_id)
        if known is None:
            with contextlib.suppress(NotFound, DataLoss):
                known = self._known[asset_id] = await self.store.describe(asset_id)
        if known is not None:
            self._known[asset_id] = known
            self._known.move_to_end(asset_id)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return known


def _microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)

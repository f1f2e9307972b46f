"""Lists of stored files, the newest first. The store keeps no order: each page looks at the names of all records, and
reads those that may be on it."""

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from gateway.assets.record import ID, StoredAsset
from gateway.assets.store import AssetStore
from servicekit.errors import DataLoss, NotFound

# A page reads so many records at most; where few of them are wanted it is short, and the next one goes on.
MAX_READ = 2000
READS_AT_ONCE = 32
# Records that are held, as they do not change; lists of names are held for so long.
MAX_KNOWN, NAMES_SECONDS = 20_000, 2.0


@dataclass(frozen=True)
class AssetFilter:
    """What all files of a list have in common; None and "" are any. `content_type` is a whole one or its first part;
    they were stored from `created_after` on, and before `created_before` (Unix seconds)."""

    tenant: str | None = None
    content_type: str = ""
    created_after: float = 0.0
    created_before: float = math.inf

    def has(self, asset: StoredAsset) -> bool:
        """Return True for a file of the list."""
        is_of_kind = self.content_type in ("", asset.content_type, asset.content_type.partition("/")[0])
        is_in_time = self.created_after <= asset.created_at.timestamp() < self.created_before
        return self.tenant in (None, asset.tenant) and is_of_kind and is_in_time and not asset.is_expired()


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
    """Lists the files of a store; a page reads `max_read` records at most. Errors: Unavailable."""

    store: AssetStore
    max_read: int = MAX_READ
    _known: OrderedDict[str, StoredAsset] = field(default_factory=OrderedDict, init=False)
    _names: Sequence[AssetPlace] = field(default=(), init=False)
    _named_at: float = field(default=float("-inf"), init=False)
    _naming: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def page(
        self, wanted: AssetFilter, size: int, before: AssetPlace | None
    ) -> tuple[list[StoredAsset], AssetPlace | None]:
        """Return files of a list before a place (None: from the newest on), and the place to go on from, if there may
        be more."""
        places = await self._places(is_first=before is None)
        rest = [place for place in places if before is None or place < before]
        found: list[StoredAsset] = []
        for start in range(0, min(len(rest), self.max_read), READS_AT_ONCE):
            group = rest[start : min(start + READS_AT_ONCE, self.max_read)]
            assets = await asyncio.gather(*(self._read(place.asset_id) for place in group))
            for place, asset in zip(group, assets, strict=True):
                if asset is not None and wanted.has(asset):
                    found.append(asset)
                if len(found) == size:
                    return found, place if place != rest[-1] else None
        return found, rest[self.max_read - 1] if len(rest) > self.max_read else None

    async def _places(self, *, is_first: bool) -> Sequence[AssetPlace]:
        """Return all files, the newest first: for a first page as they are now."""
        asked_at = time.monotonic()
        async with self._naming:
            if self._named_at < (asked_at if is_first else asked_at - NAMES_SECONDS):
                listed_at = time.monotonic()
                names = await self.store.record_times()
                places = (AssetPlace(_microseconds(at), name) for name, at in names.items() if ID.fullmatch(name))
                self._names, self._named_at = sorted(places, reverse=True), listed_at
            return self._names

    async def _read(self, asset_id: str) -> StoredAsset | None:
        """Return a file; None for one that is gone or damaged."""
        known = self._known.get(asset_id)
        if known is None:
            with contextlib.suppress(NotFound, DataLoss):
                known = self._known[asset_id] = await self.store.describe(asset_id)
        if known is not None:
            self._known.move_to_end(asset_id)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return known


def _microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)

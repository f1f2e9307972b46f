"""Records of files that were written here a moment ago, and of small ones what is in them: to read such a file its
record need not be read, nor a small one by a task."""

import time
from collections import OrderedDict
from typing import TypeVar

from gateway.assets.bucket import missing_object
from gateway.assets.record import StoredAsset
from servicekit.errors import NotFound

V = TypeVar("V")

MAX_KNOWN = 512
KNOWN_SECONDS = 60.0
# Files whose bytes are held, and the most of one.
MAX_HELD = 64
MAX_HELD_BYTES = 64 * 1024


class KnownAssets:
    """Remembers the records that were written last, for a while: they do not change."""

    def __init__(self) -> None:
        # With the time when they were written, of time.monotonic().
        self._written: OrderedDict[str, tuple[StoredAsset, float]] = OrderedDict()
        self._contents: OrderedDict[str, bytes] = OrderedDict()

    def get(self, asset_id: str) -> StoredAsset | None:
        """Return a record, where it is remembered."""
        asset, written_at = self._written.get(asset_id, (None, 0.0))
        return asset if time.monotonic() - written_at <= KNOWN_SECONDS else None

    def content(self, asset_id: str) -> bytes | None:
        """Return the bytes of a file whose record is remembered, where they are too."""
        return self._contents.get(asset_id) if self.get(asset_id) is not None else None

    def add(self, asset: StoredAsset, content: bytes | None = None) -> None:
        """Remember a record, not of a file in parts, of which there may be thousands; and what is in a small file."""
        if not asset.parts:
            _put(self._written, asset.id, (asset, time.monotonic()), MAX_KNOWN)
        if content is not None and len(content) <= MAX_HELD_BYTES:
            _put(self._contents, asset.id, content, MAX_HELD)

    def forget(self, asset_id: str) -> None:
        """Forget a file that is deleted."""
        self._written.pop(asset_id, None)
        self._contents.pop(asset_id, None)


def _put(entries: "OrderedDict[str, V]", key: str, entry: V, most: int) -> None:
    """Put an entry in; of more than so many the first one goes."""
    entries[key] = entry
    if len(entries) > most:
        entries.popitem(last=False)


def checked(asset: StoredAsset, tenant: str | None) -> StoredAsset:
    """Return a record of a tenant's file (None: whoever's). Raises NotFound, also once it has expired."""
    if tenant not in (None, asset.tenant):
        raise missing_object(asset.name)
    if asset.is_expired():
        text = f"{asset.name} expired at {asset.expires_at:%Y-%m-%d %H:%M:%S} UTC; upload the file again."
        raise NotFound(text, reason="ASSET_EXPIRED")
    return asset

"""Records of files that were written here a moment ago: to read such a file its record need not be read."""

import time
from collections import OrderedDict

from gateway.assets.bucket import missing_object
from gateway.assets.record import StoredAsset
from servicekit.errors import NotFound

MAX_KNOWN = 512
KNOWN_SECONDS = 60.0


class KnownAssets:
    """Remembers the records that were written last, for a while: they do not change."""

    def __init__(self) -> None:
        # With the time when they were written, of time.monotonic().
        self._written: OrderedDict[str, tuple[StoredAsset, float]] = OrderedDict()

    def get(self, asset_id: str) -> StoredAsset | None:
        """Return a record, where it is remembered."""
        asset, written_at = self._written.get(asset_id, (None, 0.0))
        return asset if time.monotonic() - written_at <= KNOWN_SECONDS else None

    def add(self, asset: StoredAsset) -> None:
        """Remember a record; not of a file in parts, of which there may be thousands."""
        if not asset.parts:
            self._written[asset.id] = asset, time.monotonic()
            if len(self._written) > MAX_KNOWN:
                self._written.popitem(last=False)

    def forget(self, asset_id: str) -> None:
        """Forget the record of a file that is deleted."""
        self._written.pop(asset_id, None)


def checked(asset: StoredAsset, tenant: str | None) -> StoredAsset:
    """Return a record of a tenant's file (None: whoever's). Raises NotFound, also once it has expired."""
    if tenant not in (None, asset.tenant):
        raise missing_object(asset.name)
    if asset.is_expired():
        text = f"{asset.name} expired at {asset.expires_at:%Y-%m-%d %H:%M:%S} UTC; upload the file again."
        raise NotFound(text, reason="ASSET_EXPIRED")
    return asset

"""Uploaded files as sources."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.assets.store import AssetStore, StoredAsset


@dataclass(frozen=True)
class AssetSource:
    """An asset, open for reading."""

    store: AssetStore
    asset: StoredAsset

    @property
    def filename(self) -> str:
        """Name that it was uploaded under."""
        return self.asset.filename

    @property
    def size_bytes(self) -> int:
        """Bytes."""
        return self.asset.size_bytes

    def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes, as AssetStore.read gives them."""
        return self.store.read(self.asset.id)


@asynccontextmanager
async def opened(store: AssetStore, asset_id: str) -> AsyncIterator[AssetSource]:
    """The asset as a source. Raises NotFound."""
    yield AssetSource(store, await store.describe(asset_id))

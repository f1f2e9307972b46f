"""Sources: the files that `url_…` fields name, wherever they are, opened and read as streams."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from gateway.assets.record import PREFIX, parse_name
from gateway.assets.store import AssetStore, StoredAsset
from gateway.sources import urls
from gateway.sources.fetch import Fetcher

__all__ = ["Source", "Sources"]


class Source(Protocol):
    """An open source, whose bytes can be read once."""

    @property
    def filename(self) -> str:
        """Return the name of the file, without folders; may be empty."""

    @property
    def size_bytes(self) -> int | None:
        """Return the size where it is known beforehand."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks of CHUNK_BYTES, except the last one. Raises ServiceError if they end too early."""


@dataclass(frozen=True)
class AssetSource:
    """An uploaded file, open for reading."""

    store: AssetStore
    asset: StoredAsset

    @property
    def filename(self) -> str:
        """Return the name that the file was uploaded under."""
        return self.asset.filename

    @property
    def size_bytes(self) -> int:
        """Return the size of the file."""
        return self.asset.size_bytes

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes as AssetStore.read does."""
        return self.store.read(self.asset.id)


@dataclass(frozen=True)
class Sources:
    """Opens sources by the form of their text: the name of an asset ("assets/<id>"), or an http(s) URL."""

    fetcher: Fetcher
    assets: AssetStore

    def check(self, source: str) -> None:
        """Raise InvalidArgument for a text that `open` cannot take; does no I/O."""
        if source.startswith(PREFIX):
            parse_name(source)
        else:
            urls.parse(source)

    def open(self, source: str) -> AbstractAsyncContextManager[Source]:
        """Open the source. Raises what Fetcher.open and AssetStore.read raise, InvalidArgument for other forms."""
        return self._open_asset(parse_name(source)) if source.startswith(PREFIX) else self.fetcher.open(source)

    @asynccontextmanager
    async def _open_asset(self, asset_id: str) -> AsyncIterator[AssetSource]:
        yield AssetSource(self.assets, await self.assets.describe(asset_id))
